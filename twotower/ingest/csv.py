"""Read CSV files. CSV holds only text, so a first pass finds the columns that are numbers or booleans."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from twotower.errors import CatalogueError
from twotower.ingest.fields import as_number
from twotower.ingest.lines import read_lines
from twotower.ingest.row import Row

_BOOLEANS = {"true": True, "false": False}


def read_csv(path: Path) -> Iterator[Row]:
    """Read a file row by row, all of it as text; empty cells are absent.

    Args:
        path: a file whose first line names the columns.

    Raises:
        CatalogueError: while reading, if the header or a row is damaged.
    """
    reader = csv.reader((line for _, line in read_lines(path)), strict=True)
    header: list[str] = []
    last_line = 0
    try:
        for cells in reader:
            place = f"{path}, line {last_line + 1}"  # where the row begins; quoted cells may span lines
            last_line = reader.line_num
            if not cells:
                continue
            if not header:
                header = _header(place, cells)
            elif len(cells) != len(header):
                raise CatalogueError(
                    f"{place} has {len(cells)} cells but the header has {len(header)}: repair the row"
                )
            else:
                yield Row(place, {name: cell for name, cell in zip(header, cells, strict=True) if cell})
    except csv.Error as error:
        raise CatalogueError(f"{path}, line {reader.line_num} is not CSV ({error}): repair it") from None
    if not header:
        raise CatalogueError(f"{path} is empty: its first line must name the columns")


def read_typed_csv(path: Path, keep_text: Collection[str]) -> Iterator[Row]:
    """Read a file row by row, with numbers and booleans where a whole column holds nothing else.

    Args:
        path: a file whose first line names the columns; it is read twice.
        keep_text: columns that stay text, so that an id "00123" keeps its zeros.

    Raises:
        CatalogueError: while reading, as for `read_csv`.
    """
    numbers, booleans = _typed_columns(read_csv(path))
    for row in read_csv(path):
        values: dict[str, Any] = dict(row.values)
        for name, cell in row.values.items():
            if name in keep_text:
                continue
            if name in numbers:
                values[name] = as_number(cell)
            elif name in booleans:
                values[name] = _BOOLEANS[cell.strip().lower()]
        yield Row(row.place, values)


def _header(place: str, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for position, name in enumerate(names):
        if not name:
            raise CatalogueError(f"{place}, column {position + 1} of the header has no name: give it one")
        if name in names[:position]:
            raise CatalogueError(f"{place} names the column {name!r} twice: rename one of them")
    return names


def _typed_columns(rows: Iterator[Row]) -> tuple[set[str], set[str]]:
    """Names of the columns whose filled cells are all numbers, and of those whose filled cells are all booleans."""
    seen: set[str] = set()
    not_numbers: set[str] = set()
    not_booleans: set[str] = set()
    for row in rows:
        for name, cell in row.values.items():
            seen.add(name)
            if name not in not_numbers and as_number(cell) is None:
                not_numbers.add(name)
            if name not in not_booleans and cell.strip().lower() not in _BOOLEANS:
                not_booleans.add(name)
    return seen - not_numbers, seen - not_booleans
