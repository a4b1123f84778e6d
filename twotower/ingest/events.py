"""Read behaviour events from a .jsonl, .csv or .parquet file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twotower.ingest.fields import as_number, describe, is_finite, required_text, time
from twotower.ingest.formats import read_rows
from twotower.ingest.row import Row
from twotower.types import Event


def read_events(path: Path) -> Iterator[Event]:
    """Read events one by one.

    The fields are user, item, kind, time (ISO-8601 with an offset or Z; Parquet timestamps have a time zone)
    and value (a number, 1 if missing). Other columns are ignored.

    Args:
        path: the file; .jsonl, .csv or .parquet.

    Returns:
        The events, in the order of the file; the caller applies `check_event`.

    Raises:
        CatalogueError: at once if there is no such file; while reading, if a row cannot be read, naming the
            file, the line and the field.
    """
    path = Path(path)
    cells = path.suffix == ".csv"
    return (_event(row, cells) for row in read_rows(path))


def _event(row: Row, cells: bool) -> Event:
    when = time(row)
    if when is None:
        raise row.error("time", "it is missing: say when the event happened")
    return Event(
        user=required_text(row, "user"),
        item=required_text(row, "item"),
        kind=required_text(row, "kind"),
        time=when,
        value=_value(row, cells),
    )


def _value(row: Row, cells: bool) -> float:
    value = row.values.get("value")
    if value is None:
        return 1.0
    number = as_number(value) if cells else value
    if isinstance(number, bool) or not isinstance(number, int | float) or not is_finite(number):
        raise row.error(
            "value", f"{repr(value) if cells else describe(value)} is not a finite number: give one"
        )
    return float(number)
