"""A cell of another type than its column, or than the store has, is converted without loss or an error of its row."""

from __future__ import annotations

import json
from datetime import datetime

import pandas as pd
import pytest
from catalogues import NOON, lines
from fakes import HashEncoder

from twotower import Item, Retriever
from twotower.errors import ItemError
from twotower.ingest import items_from, read_catalogue

NUMBERS, WORDS, TRUTHS, TIMES = [3.5, 4, 5, 6, 7], ["a", "b", "c", "d", "e"], [True, False] * 3, [NOON] * 5


@pytest.mark.parametrize(
    ("usual", "cell", "expected"),
    [
        (NUMBERS, "30", 30),  # nothing is lost
        (NUMBERS, "30.50", 30.5),
        (NUMBERS, "N/A", None),
        (NUMBERS, "1.299,00", ValueError),
        (NUMBERS, "on request", ValueError),
        (NUMBERS, True, ValueError),
        (NUMBERS, ["5", 6], [5, 6]),
        (NUMBERS, ["x"], ValueError),
        (WORDS, 12, "12"),
        (WORDS, 4006381333931, "4006381333931"),
        (WORDS, True, "true"),
        (WORDS, NOON, ValueError),
        (TRUTHS, 1, True),
        (TRUTHS, "false", False),
        (TRUTHS, 2, ValueError),
        (TIMES, "2026-01-01T12:00:00Z", NOON),
        (TIMES, "soon", ValueError),
        (TIMES[:1], "2026-01-01T12:00:00Z", NOON),
        ([*NUMBERS[:2], *WORDS[:3]], 5, "5"),  # of several types: all become text
        ([*NUMBERS[:3], "8", "9"], True, ValueError),  # numbers as text are numbers
        ([True, True, True, False], 7, ValueError),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "json", "mappings", "frame", "upsert"])
def test_one_cell_of_another_type_is_converted_or_the_error_of_its_row(write, form, usual, cell, expected):
    rows = [{"id": n, "title": "t", "x": value} for n, value in enumerate([*usual, cell])]
    bad, found = [], {}
    if form in ("jsonl", "json"):
        rows = json.loads(json.dumps(rows, default=lambda time: {"$time": time.isoformat()}))
        path = write(f"a.{form}", lines(*rows) if form == "jsonl" else json.dumps(rows))
        found = {item.id: item for item in read_catalogue(path, bad=bad)}
    elif form == "upsert":
        with Retriever(HashEncoder()) as retriever:
            bad = retriever.upsert(rows, on_error="skip").skipped
            found = {item.id: item for item in retriever.items()}
    else:
        records = rows if form == "mappings" else pd.DataFrame(rows, dtype=object)
        found = {item.id: item for item in items_from(records, bad=bad)}
    last = f"{len(usual)}"
    others = [item.attributes["x"] for item_id, item in found.items() if item_id != last]
    kinds = {type(value) for value in others}
    assert len(others) == len(usual)
    assert kinds in ({float, int}, {int}, {str}, {bool}, {datetime})
    if expected is ValueError:
        assert last not in found
        assert len(bad) == 1
        assert "field 'x'" in str(bad[0])
    else:
        assert not bad
        assert found[last].attributes.get("x") == expected
        assert type(found[last].attributes.get("x")) is type(expected)


@pytest.mark.parametrize("stored", [False, True])
def test_mappings_and_data_frames_must_not_contradict_what_is_indexed(tmp_path, stored):
    folder = tmp_path / "store"
    retriever = Retriever.open(folder, encoder=HashEncoder()) if stored else Retriever(HashEncoder())
    retriever.upsert([Item("1", "mug", attributes={"price": 5, "gtin": "0012", "new": True})])
    if stored:
        retriever.close()
        retriever = Retriever.open(folder, encoder=HashEncoder())
    rows = [
        {"id": "2", "title": "cup", "Price": "6", "gtin": 13, "new": 0},
        {"id": "3", "title": "cup", "Price": "1.299,00", "gtin": 14, "new": 1},
        {"id": "4", "title": "cup", "Price": "7,50", "gtin": 15, "new": 1},
    ]
    with pytest.raises(
        ItemError, match=r"row 1, field 'Price': '1.299,00' is not a number, as 'price' is in the"
    ):
        retriever.upsert(rows)
    for given in (rows, pd.DataFrame(rows, dtype=object)):
        report = retriever.upsert(given, on_error="skip")
        assert (report.upserted, len(report.skipped)) == (1, 2)
        assert retriever.get("2").attributes == {"price": 6, "gtin": "13", "new": False}
    retriever.update({"2": {"stock": 3}})
    with pytest.raises(ItemError, match="field 'stock': 'many' is not a number"):
        retriever.upsert([{"id": "2", "title": "cup", "stock": "many"}])
    retriever.close()
