"""Columns that are left out, because no attribute can hold them or because the shop says so."""

from __future__ import annotations

from datetime import time, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogues import lines

from twotower.errors import CatalogueError
from twotower.ingest import Catalogue, ReadOptions, items_from


@pytest.mark.parametrize("value", [b"\xff", time(8, 30), timedelta(days=1), [["a"]], [{"a": 1}]])
def test_a_column_that_no_attribute_can_hold_is_left_out_and_told(tmp_path, value):
    path = tmp_path / "shop.parquet"
    pq.write_table(
        pa.table({"id": ["1", "2"], "title": ["a", "b"], "odd": [value, value], "price": [5, 6]}), path
    )
    catalogue = Catalogue.of_file(path)
    assert [item.attributes for item in catalogue.items()] == [{"price": 5}, {"price": 6}]
    assert "  odd: left out, because " in "\n".join(catalogue.columns.lines())


def test_one_value_that_no_attribute_can_hold_is_an_error_of_its_row(write):
    path = write(
        "a.jsonl", lines({"id": "1", "title": "a", "x": [["a"]]}, {"id": "2", "title": "b", "x": "c"})
    )
    bad: list[CatalogueError] = []
    assert [item.id for item in Catalogue.of_file(path).items(bad.append)] == ["2"]
    assert "line 1, field 'x'" in str(bad[0])


def test_columns_to_ignore_are_left_out_with_all_that_is_in_them(write):
    path = write(
        "a.jsonl", lines({"id": "1", "title": "a", "time": "never", "specs": {"a": 1, "b": "x"}, "price": 5})
    )
    catalogue = Catalogue.of_file(path, ReadOptions(ignore=["time", "specs"]))
    (item,) = catalogue.items()
    assert (item.time, item.attributes) == (None, {"price": 5})
    assert "  time: left out, as asked" in list(catalogue.columns.lines())
    with pytest.raises(CatalogueError, match="has no column 'nope' to ignore: name one of id, title"):
        Catalogue.of_file(path, ReadOptions(ignore=["nope"]))
    with pytest.raises(ValueError, match="ignore"):
        ReadOptions(ignore="specs")
    (item,) = items_from([{"id": "1", "title": "a", "x": object(), "y": 2}], ReadOptions(ignore=["x"]))
    assert item.attributes == {"y": 2}


def test_an_id_beside_the_declared_one_is_left_out_unless_it_is_named(write):
    path = write("a.csv", "id,sku,title\n77,A1,a\n")
    catalogue = Catalogue.of_file(path, ReadOptions(columns={"id": "sku"}))
    (item,) = catalogue.items()
    assert (item.id, item.attributes) == ("A1", {})
    assert "id: left out, because filters read 'id'" in "".join(catalogue.columns.lines())
    (item,) = Catalogue.of_file(path, ReadOptions(columns={"id": "sku", "other_id": "id"})).items()
    assert item.attributes == {"other_id": 77}
