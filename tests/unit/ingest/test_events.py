"""Behaviour from every format."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from catalogues import NOON, lines, refusal

from twotower.errors import CatalogueError
from twotower.ingest import read_events
from twotower.types import Event

EVENTS = [Event("17", "00123", "click", NOON), Event("18", "2", "purchase", NOON, 2.5)]


def test_events_from_every_format(write, tmp_path):
    rows = [
        {
            "user": "17",
            "item": "00123",
            "kind": "click",
            "time": "2026-01-01T12:00:00Z",
            "value": None,
            "price": 5,
        },
        {
            "user": "18",
            "item": "2",
            "kind": "purchase",
            "time": "2026-01-01T13:00:00+01:00",
            "value": 2.5,
            "price": 6,
        },
    ]
    cells = [",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows]
    parquet = tmp_path / "events.parquet"
    pq.write_table(pa.Table.from_pylist([row | {"time": NOON} for row in rows]), parquet)
    assert list(read_events(write("events.jsonl", lines(*rows)))) == EVENTS
    assert list(read_events(write("events.csv", "\n".join([",".join(rows[0]), *cells])))) == EVENTS
    assert list(read_events(parquet)) == EVENTS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": None}, "line 1, field 'user': it is missing"),
        ({"item": ""}, "line 1, field 'item': it is missing"),
        ({"kind": ["view"]}, "line 1, field 'kind': write it as text, not as a list"),
        ({"time": None}, "line 1, field 'time': it is missing"),
        ({"time": "2026-01-01T12:00:00"}, "line 1, field 'time': .* has no time zone"),
        ({"value": float("inf")}, "line 1, field 'value': Infinity is not a finite number"),
        ({"value": 10**400}, "line 1, field 'value': a number is not a finite number"),
        ({"value": True}, "line 1, field 'value': the boolean true is not"),
        ({"value": "2"}, "line 1, field 'value': '2' is not"),
    ],
)
def test_events_that_cannot_be_read_are_named_by_line_and_field(write, change, message):
    good = {"user": "17", "item": "1", "kind": "click", "time": "2026-01-01T12:00:00Z"}
    with pytest.raises(CatalogueError, match=message):
        list(read_events(write("events.jsonl", lines(good | change))))


def test_a_value_that_is_not_a_number_is_quoted_from_csv(write):
    path = write("events.csv", "user,item,kind,time,value\nu,i,k,2026-01-01T12:00:00Z,many\n")
    assert refusal(path, read_events) == ", line 2, field 'value': 'many' is not a finite number: repair it"
