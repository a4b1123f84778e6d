"""Read behaviour: events from a shop's file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from multimodal.checks import check_is, check_path
from twotower.errors import CatalogueError
from twotower.ingest.fields import required_text, text, time
from twotower.ingest.names import EVENT_NAMES
from twotower.ingest.numbers import amount
from twotower.ingest.options import ReadOptions
from twotower.ingest.row import OnBad, Row, stop
from twotower.ingest.table import Source, Table, file_source
from twotower.ingest.values import describe, is_finite, plain
from twotower.types import Event

DEFAULT_KIND = "interaction"
"""The kind of all events of a file without a column for it."""


class EventLog(Table):
    """The events of a file, which is read once to see what its columns are, and again for each call of `events`.

    Args:
        place: the file, for errors.
        source: reads the rows.
        options: how to read them.

    Raises:
        CatalogueError: something is declared about a column that does not exist, or two columns are the same field.
    """

    def __init__(self, place: str, source: Source, options: ReadOptions | None = None) -> None:
        super().__init__(place, source, EVENT_NAMES, options or ReadOptions(), {})

    @classmethod
    def of_file(cls, path: Path, options: ReadOptions | None = None) -> EventLog:
        """The events of a file; see `read_events`."""
        options = ReadOptions() if options is None else options
        check_path("path", path)
        check_is("options", options, ReadOptions, "ReadOptions")
        source, _ = file_source(Path(path).absolute(), options)
        return cls(str(path), source, options)

    def events(self, on_bad: OnBad = stop) -> Iterator[Event]:
        """The events, in order.

        Args:
            on_bad: receives the error of each row that cannot be used; `stop` raises the first.
        """
        return (event for _, event in self.placed_events(on_bad))

    def placed_events(self, on_bad: OnBad = stop) -> Iterator[tuple[str, Event]]:
        """The events as for `events`, each after its place in the file."""
        for row in self.rows(on_bad):
            try:
                event = self._event(row)
            except CatalogueError as error:
                on_bad(error)
            else:
                yield row.place, event

    def lines(self) -> Iterator[str]:
        """What the columns became, as text."""
        fields = self.columns.fields
        parts = [f"{column}: {name}" for name, column in fields.items()]
        if self.columns.attributes:
            parts.append(f"not used: {', '.join(self.columns.attributes)}")
        yield f"columns: {'; '.join(parts)}"
        if "kind" not in fields:
            yield f"  no column says what happened: the kind of every event is '{DEFAULT_KIND}'"

    def _event(self, row: Row) -> Event:
        fields = self.columns.fields
        column = self.columns.required(("time",), row.place)
        when = time(row, column, self.options.zone, self.options.dates)
        if when is None:
            raise row.error(column, "it is missing: add the time of the event")
        return Event(
            user=required_text(row, self.columns.required(("user",), row.place)),
            item=required_text(row, self.columns.required(("item",), row.place)),
            kind=required_text(row, fields["kind"]) if "kind" in fields else DEFAULT_KIND,
            time=when,
            value=self._value(row, fields.get("value")),
            id=text(row, fields.get("event_id")),
        )

    def _value(self, row: Row, column: str | None) -> float:
        value = None if column is None else plain(row.values.get(column))
        if column is None or value is None:
            return 1.0
        found = value
        if isinstance(value, str) and not row.typed:
            read = amount(value, self.options.decimal)
            found = None if read is None else read.value
        if isinstance(found, bool) or not isinstance(found, int | float) or not is_finite(found):
            raise row.error(column, f"{describe(value)} is not a finite number: repair it")
        return float(found)


def read_events(
    path: Path, options: ReadOptions | None = None, *, bad: list[CatalogueError] | None = None
) -> Iterator[Event]:
    """Read events one by one.

    The fields are user, item, kind, time, value (1 if missing) and event_id (see `Event.id`), or columns with one of
    their usual names, such as user_id, product_id, event_type and timestamp; other columns are not used. Without a
    column for the kind, it is `DEFAULT_KIND`. Values mean the same as in `read_catalogue`.

    Args:
        path: a .jsonl, .json, .csv, .tsv or .parquet file, all but the last possibly gzipped (.gz). It is read twice.
        options: what the file itself does not say.
        bad: collects the error of each row that cannot be used; None raises the first.

    Returns:
        The events, in the order of the file.

    Raises:
        CatalogueError: at once if there is no such file, or its columns cannot be used; while reading, if a row
            cannot be used, naming the file, the line and the column.
    """
    return EventLog.of_file(path, options).events(stop if bad is None else bad.append)
