"""CSV knows only text: a first pass over the file finds which columns are numbers or booleans."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from twotower.ingest.fields import as_number
from twotower.ingest.rows import Row, read_rows

_BOOLEANS = {"true": True, "false": False}


def typed_rows(path: Path, keep_text: Collection[str]) -> Iterator[Row]:
    """The rows of a CSV file with numbers and booleans where a whole column holds nothing else.

    Args:
        path: the file.
        keep_text: columns that stay text, so that an id "00123" keeps its zeros.
    """
    rows = read_rows(path)  # before the generator starts, so that a missing file is reported at once
    return _typed(rows, path, keep_text)


def _typed(first_pass: Iterator[Row], path: Path, keep_text: Collection[str]) -> Iterator[Row]:
    numbers, booleans = _columns(first_pass)
    for row in read_rows(path):
        values: dict[str, Any] = dict(row.values)
        for name, cell in row.values.items():
            if name in keep_text:
                continue
            if name in numbers:
                values[name] = as_number(cell)
            elif name in booleans:
                values[name] = _BOOLEANS[cell.strip().lower()]
        yield Row(row.place, values)


def _columns(rows: Iterator[Row]) -> tuple[set[str], set[str]]:
    """Names of the columns whose filled cells are all numbers, and all booleans."""
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
