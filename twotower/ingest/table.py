"""The rows of a file, and what its columns became."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from twotower.errors import CatalogueError
from twotower.ingest.beir import corpus_rows
from twotower.ingest.columns import Columns, columns_of
from twotower.ingest.formats import check_readable, read_rows
from twotower.ingest.names import UsualNames
from twotower.ingest.options import ColumnType, ReadOptions
from twotower.ingest.row import OnBad, Row, ignore
from twotower.ingest.survey import survey
from twotower.ingest.values import JSON, PATH, TIME, is_marked

MAX_DEPTH = 20

Source: TypeAlias = Callable[[OnBad], Iterator[Row]]
"""Reads the rows from the beginning."""


class Table:
    """Rows whose columns have been surveyed, which can be read any number of times.

    Args:
        place: the file, for errors.
        source: reads the rows.
        usual: the fields and their usual names.
        options: how to read them.
        known: see `columns_of`.

    Attributes:
        columns: what they became.

    Raises:
        CatalogueError: see `columns_of`.
    """

    def __init__(
        self,
        place: str,
        source: Source,
        usual: UsualNames,
        options: ReadOptions,
        known: Mapping[str, ColumnType | None],
    ) -> None:
        self.place = place
        self.options = options
        self._source = source
        tallies = survey(self.rows(ignore), options.decimal)
        self.columns: Columns = columns_of(tallies, options, usual, known, place)

    def rows(self, on_bad: OnBad) -> Iterator[Row]:
        """The rows, with objects inside objects as "outer.inner", and an "_id" as "id".

        Args:
            on_bad: receives the error of each row that cannot be read.
        """
        for row in self._source(on_bad):
            try:
                values = _flat(row)
            except CatalogueError as error:
                on_bad(error)
            else:
                yield Row(row.place, values, row.typed)


def file_source(path: Path, options: ReadOptions) -> tuple[Source, Path]:
    """The rows of a file or of a BEIR folder, and the folder that paths are relative to.

    Raises:
        CatalogueError: there is no such file, or it is in another format.
    """
    if path.is_dir():
        check_readable(path / "corpus.jsonl")
        return partial(corpus_rows, path), path.resolve()
    check_readable(path)
    return partial(read_rows, path, options), path.parent.resolve()


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in _leaves(row, row.values):
        if flat.get(name) is not None and value is not None:
            raise row.error(name, "two values would get this name: rename one of them")
        if value is not None or name not in flat:
            flat[name] = value
    if (other := flat.pop("_id", None)) is not None:
        if flat.get("id") is not None:
            raise row.error("id", "the row also has '_id': keep one of them")
        flat["id"] = other
    return flat


def _leaves(
    row: Row, values: Mapping[str, Any], prefix: str = "", depth: int = 0
) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise row.error(prefix, f"objects are nested more than {MAX_DEPTH} deep: flatten them")
    for key, value in values.items():
        if isinstance(value, Mapping) and not any(is_marked(value, mark) for mark in (TIME, PATH, JSON)):
            yield from _leaves(row, value, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key, value
