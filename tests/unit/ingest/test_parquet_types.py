"""The one meaning of every type that Parquet has."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogues import NOON, refusal

from twotower.corpus.write_checks import check_item
from twotower.ingest import ReadOptions, read_catalogue, read_events
from twotower.types import Event

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([Decimal("19.90"), None], pa.decimal128(10, 2)), 19.9),
        (pa.array([Decimal("20.00"), None], pa.decimal128(10, 2)), 20),
        (pa.array([Decimal(12345678901234567890), None], pa.decimal128(30, 0)), 12345678901234567890),
        (pa.array([19.99, float("nan")], pa.float32()), 19.99),
        (pa.array([19.99, float("nan")], pa.float64()), 19.99),
        (pa.array([2**63, None], pa.uint64()), 2**63),
        (pa.array([date(2026, 1, 1), None], pa.date32()), MIDNIGHT),
        (pa.array([date(2026, 1, 1), None], pa.date64()), MIDNIGHT),
        (pa.array([NOON, None], pa.timestamp("ns", "America/New_York")), NOON),
        (pa.array(["red", None]).dictionary_encode(), "red"),
        (pa.array(["red", None], pa.large_string()), "red"),
        (pa.array([[1, None, 2], None], pa.list_(pa.int64())), [1, 2]),
        (pa.array([[0.1, float("nan")], None], pa.list_(pa.float32())), [0.1]),
        (pa.array([[0.1, 0.2], None], pa.list_(pa.float32(), 2)), [0.1, 0.2]),
        (pa.array([["a", None], None], pa.large_list(pa.string())), ["a"]),
        (pa.array([[date(2026, 1, 1)], None], pa.list_(pa.date32())), [MIDNIGHT]),
        (pa.array([[None], None], pa.list_(pa.string())), []),
        (pa.array([True, None]), True),
        (pa.array([None, None], pa.null()), None),
    ],
)
def test_every_type_of_value_has_one_meaning_and_null_is_missing(tmp_path, column, expected):
    path = tmp_path / "shop.parquet"
    pq.write_table(pa.table({"id": [1, 2], "title": ["a", "b"], "x": column}), path)
    first, second = read_catalogue(path)
    assert first.attributes == ({} if expected is None else {"x": expected})
    assert type(first.attributes.get("x")) is type(expected)
    assert second.attributes == {}
    check_item(first)


def test_objects_and_maps_become_names_with_dots(tmp_path):
    path = tmp_path / "shop.parquet"
    inner = pa.array(
        [{"size": {"w": 0.1, "at": NOON}}],
        pa.struct({"size": pa.struct({"w": pa.float32(), "at": pa.timestamp("ns", "UTC")})}),
    )
    specs = pa.array([[("colour", "red"), ("type", None)]], pa.map_(pa.string(), pa.string()))
    pq.write_table(
        pa.table({"id": pa.array([7], pa.int64()), "title": ["a"], "attrs": inner, "specs": specs}), path
    )
    (item,) = read_catalogue(path)
    assert item.id == "7"
    assert item.attributes == {"attrs.size.w": 0.1, "attrs.size.at": NOON, "specs.colour": "red"}


def test_ids_that_pandas_turned_into_floats_are_whole_numbers(tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(
        pa.table({"user_id": [17.0], "item_id": [2.0], "timestamp": [NOON.timestamp()], "event": ["view"]}),
        path,
    )
    assert list(read_events(path)) == [Event("17", "2", "view", NOON)]


def test_times_without_a_zone_are_in_the_declared_one(tmp_path):
    path = tmp_path / "shop.parquet"
    naive = pa.array([datetime(2026, 1, 1, 20)], pa.timestamp("us"))
    day = pa.array([date(2026, 1, 2)], pa.date32())
    pq.write_table(pa.table({"id": ["1"], "title": ["a"], "time": naive, "day": day}), path)
    assert "has no time zone: add its offset, or Z for UTC, or declare the timezone" in refusal(path)
    (item,) = read_catalogue(path, ReadOptions(timezone="Asia/Shanghai"))
    assert (item.time, item.attributes["day"]) == (NOON, datetime(2026, 1, 1, 16, tzinfo=UTC))


def test_a_row_that_python_cannot_hold_is_its_own_error(tmp_path):
    path = tmp_path / "shop.parquet"
    days = [n % 90 for n in range(2_100)]
    for row in (10, 1_500):
        days[row] = 9 * 10**8
    table = pa.table({"id": range(2_100), "title": ["a"] * 2_100, "day": pa.array(days, pa.date32())})
    pq.write_table(table, path)
    bad = []
    read = [int(item.id) for item in read_catalogue(path, bad=bad)]
    assert read == [n for n in range(2_100) if n not in (10, 1_500)]
    assert [str(error).partition(", ")[2].partition(":")[0] for error in bad] == ["row 11", "row 1501"]
