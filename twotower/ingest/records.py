"""Make items and events from mappings, or from a DataFrame of pandas or polars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from multimodal.checks import listed
from twotower.errors import CatalogueError
from twotower.ingest.catalogue import Catalogue
from twotower.ingest.events import EventLog
from twotower.ingest.options import ColumnType, ReadOptions
from twotower.ingest.row import OnBad, Row, stop
from twotower.ingest.table import Source
from twotower.types import Event, Item

T = TypeVar("T")

_FRAME_ROWS = 10_000


def items_from(
    records: Iterable[Mapping[str, Any]],
    options: ReadOptions | None = None,
    *,
    bad: list[CatalogueError] | None = None,
) -> Iterator[Item]:
    """Make items from mappings, or from a DataFrame of pandas or polars, by the rules of `read_catalogue`.

    Args:
        records: mappings with a key for each column, or a DataFrame.
        options: as in `read_catalogue`.
        bad: as in `read_catalogue`.

    Returns:
        The items, in order. Photos may be anywhere.

    Raises:
        CatalogueError: as in `read_catalogue`, naming the row, from 0.
    """
    return _catalogue(records, options).items(stop if bad is None else bad.append)


def events_from(
    records: Iterable[Mapping[str, Any]],
    options: ReadOptions | None = None,
    *,
    bad: list[CatalogueError] | None = None,
) -> Iterator[Event]:
    """Make events from mappings, or from a DataFrame of pandas or polars, by the rules of `read_events`.

    Args:
        records: mappings with a key for each column, or a DataFrame.
        options: as in `read_events`.
        bad: as in `read_events`.

    Raises:
        CatalogueError: as in `read_events`, naming the row, from 0.
    """
    return _log(records, options).events(stop if bad is None else bad.append)


def items_in(
    given: Any, known: Callable[[], Mapping[str, ColumnType | None]] | None = None
) -> Iterable[Item | CatalogueError]:
    """Items as they are, or made from mappings or a DataFrame; a row that cannot be an item becomes its error.

    Args:
        given: items, mappings or a DataFrame.
        known: returns the types of existing attributes, if items have to be made; see `Catalogue`.
    """
    return _made_if_records(given, lambda records: _catalogue(records, known=known and known()).items)


def events_in(given: Any) -> Iterable[Event | CatalogueError]:
    """Events as they are, or made from mappings or a DataFrame; a row that cannot be an event becomes its error."""
    return _made_if_records(given, lambda records: _log(records).events)


def _catalogue(
    records: Any,
    options: ReadOptions | None = None,
    known: Mapping[str, ColumnType | None] | None = None,
) -> Catalogue:
    return Catalogue("the catalogue", _source(records), None, options, known)


def _log(records: Any, options: ReadOptions | None = None) -> EventLog:
    return EventLog("the events", _source(records), options)


def _made_if_records(
    given: Any, reader: Callable[[Any], Callable[[OnBad], Iterator[T]]]
) -> Iterable[T | CatalogueError]:
    if _is_frame(given):
        return _with_errors(reader(given))
    rest = iter(given if isinstance(given, Iterator) else listed("what is given", given))
    first = list(islice(rest, 1))
    records: Iterable[Any] = chain(first, rest)
    return _with_errors(reader(records)) if first and isinstance(first[0], Mapping) else records


def _with_errors(read: Callable[[OnBad], Iterator[T]]) -> Iterator[T | CatalogueError]:
    errors: list[CatalogueError] = []
    for each in read(errors.append):
        yield from errors
        errors.clear()
        yield each
    yield from errors


def _source(records: Iterable[Mapping[str, Any]]) -> Source:
    """The rows, which are kept so that they can be read again."""
    held = records if _is_frame(records) else listed("records", records)

    def rows(on_bad: OnBad) -> Iterator[Row]:
        for number, record in enumerate(_mappings(held)):
            if isinstance(record, Mapping) and all(isinstance(name, str) for name in record):
                yield Row(f"row {number}", record)
            else:
                on_bad(
                    CatalogueError(
                        f"row {number} must be a mapping whose keys are text, got {type(record).__name__}"
                    )
                )

    return rows


def _is_frame(records: object) -> bool:
    """Whether something is a DataFrame, of pandas or polars, neither of which is imported for this."""
    return hasattr(records, "columns") and (hasattr(records, "iter_rows") or hasattr(records, "iloc"))


def _mappings(records: Any) -> Iterator[Any]:
    if hasattr(records, "iter_rows"):  # polars
        yield from records.iter_rows(named=True)
    elif hasattr(records, "iloc"):  # pandas
        if not records.columns.is_unique:
            raise CatalogueError("the DataFrame has two columns of the same name: rename one of them")
        for start in range(0, len(records), _FRAME_ROWS):
            yield from _in_double_precision(records.iloc[start : start + _FRAME_ROWS]).to_dict("records")
    else:
        yield from records


def _in_double_precision(frame: Any) -> Any:
    """A DataFrame of pandas whose numbers in single precision are their shortest decimals."""
    narrow = [name for name, kind in frame.dtypes.items() if kind in (np.float16, np.float32)]
    if not narrow:
        return frame
    return frame.astype(dict.fromkeys(narrow, str)).astype(dict.fromkeys(narrow, float))
