"""Rows of JSON Lines, CSV and Parquet files, one after the other, each knowing where it stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.errors import CatalogError
from twotower.ingest.parquet import read_parquet

MAX_LINE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file.

    Args:
        place: the file and the line, for error messages.
        values: what it holds, by field. In a CSV file all values are text and empty cells are absent.
    """

    place: str
    values: dict[str, Any]

    def error(self, field: str, problem: str) -> CatalogError:
        """An error that names the file, the line and the field."""
        return CatalogError(f"{self.place}, field {field!r}: {problem}.")


def read_rows(path: Path) -> Iterator[Row]:
    """Read a file by its suffix: .jsonl, .csv or .parquet.

    Args:
        path: the file; UTF-8 with or without a byte order mark, or Parquet.

    Raises:
        CatalogError: the file is missing or of another suffix; while reading, a row cannot be read.
    """
    if not path.is_file():
        raise CatalogError(f"{path} is not a file; give a .jsonl, .csv or .parquet file that exists.")
    if path.suffix == ".jsonl":
        return _read_json_lines(path)
    if path.suffix == ".csv":
        return _read_csv(path)
    if path.suffix == ".parquet":
        return (Row(f"{path}, row {number}", values) for number, values in read_parquet(path))
    raise CatalogError(f"{path} ends in {path.suffix!r}; give a .jsonl, .csv or .parquet file.")


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, line ends included."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise CatalogError(
                    f"{path}, line {number} is longer than {MAX_LINE_BYTES:,} bytes; split or shorten it."
                )
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CatalogError(
                    f"{path}, line {number}, byte {error.start + 1} is not UTF-8; convert the file to UTF-8."
                ) from None


def _read_json_lines(path: Path) -> Iterator[Row]:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            values = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            raise CatalogError(
                f"{place}, column {error.colno} is not JSON ({error.msg}); write one object a line."
            ) from None
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits; too deep
            raise CatalogError(f"{place} cannot be read as JSON ({error}); repair it.") from None
        if not isinstance(values, dict):
            raise CatalogError(f"{place} is not a JSON object; write one object a line.")
        yield Row(place, values)


def _read_csv(path: Path) -> Iterator[Row]:
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
                raise CatalogError(
                    f"{place} has {len(cells)} cells but the header has {len(header)}; repair the row."
                )
            else:
                yield Row(place, {name: cell for name, cell in zip(header, cells, strict=True) if cell})
    except csv.Error as error:
        raise CatalogError(f"{path}, line {reader.line_num} is not CSV ({error}); repair it.") from None
    if not header:
        raise CatalogError(f"{path} is empty; its first line must name the columns.")


def _header(place: str, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    for position, name in enumerate(names):
        if not name:
            raise CatalogError(f"{place}, column {position + 1} of the header has no name; give it one.")
        if name in names[:position]:
            raise CatalogError(f"{place} names the column {name!r} twice; rename one of them.")
    return names
