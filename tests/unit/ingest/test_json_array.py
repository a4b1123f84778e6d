"""Arrays in .json files, which are read an element at a time."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from catalogues import refusal

from twotower.ingest import read_catalogue


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_is_read_an_element_at_a_time(tmp_path, indent):
    path = tmp_path / "shop.json"
    rows = [{"id": n, "title": "mug", "text": "x" * 20_000} for n in range(500)]
    path.write_text(json.dumps(rows, indent=indent))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_catalogue(path)) == 500
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000 < path.stat().st_size / 2


def test_elements_that_are_not_objects_are_errors_of_their_own_wherever_they_end(write):
    path = write("shop.json", f'[{", ".join(["1234567"] * 20_000)}, {{"id": 1}}]')
    bad = []
    assert [item.id for item in read_catalogue(path, bad=bad)] == ["1"]
    assert len(bad) == 20_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[\n{"id": 1},\n{"id" 2}]', ", line 3 is not JSON"),
        ('[{"id": 1}', ", line 1 is not JSON (expected ',' or ']')"),
        ('[{"id": 1}]\n[]', ", line 2 is not JSON (something follows the array)"),
        ('[\n\n{"id": true}]', ", line 3, field 'id': write it as text, not as the boolean true"),
        ("7", ", line 1 is not JSON (it must hold an array of objects)"),
        ('{"a":\n1}', ", line 1, column 6 is not JSON"),
        ("[" * 100_000, ", line 1 is not JSON"),
    ],
)
def test_an_array_that_cannot_be_read_is_named_by_line(write, content, message):
    assert refusal(write("shop.json", content)).startswith(message)


@pytest.mark.parametrize("content", ["", "[]", " [ ]\n"])
def test_an_empty_array_has_no_items(write, content):
    assert list(read_catalogue(write("shop.json", content))) == []
