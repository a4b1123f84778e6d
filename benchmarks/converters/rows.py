"""Rows of the originals' tables, and their cells as text and numbers; every error names file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import IO, TypeVar

from tqdm import tqdm

from benchmarks.converters.source import Source
from twotower.errors import CatalogueError
from twotower.ingest.fields import as_number, required_text
from twotower.ingest.lines import MAX_LINE_BYTES
from twotower.ingest.row import Row

T = TypeVar("T")
Decode = Callable[[bytes], str]


def utf_8(line: bytes) -> str:
    """Strictly UTF-8."""
    return line.decode("utf-8")


def utf_8_or_latin_1(line: bytes) -> str:
    """UTF-8 where the line is that, else Latin-1.

    Files of one download differ in encoding, and copies were converted; a Latin-1 line with a letter beyond ASCII is
    next to never valid UTF-8 by chance.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def watched(rows: Iterable[T], name: str) -> Iterator[T]:
    """The same rows, with a progress bar on a terminal."""
    yield from tqdm(rows, desc=name, unit="row", disable=None)


def read_lines(source: Source, name: str, decode: Decode = utf_8) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, line ends included.

    Raises:
        CatalogueError: the file is missing, a line is too long or not in that encoding.
    """
    with source.open(name) as file:
        yield from _lines(file, source.place(name), decode)


def read_table(
    source: Source,
    name: str,
    columns: Sequence[str],
    *,
    delimiter: str = ",",
    decode: Decode = utf_8,
    last_takes_surplus: bool = False,
) -> Iterator[Row]:
    """The rows of a table with a header.

    Args:
        source: where the file is.
        name: of the file.
        columns: that must be there; others may.
        delimiter: between cells.
        decode: from a line's bytes to text.
        last_takes_surplus: whether cells beyond the header belong to the last column, whose unquoted text holds
            the delimiter.

    Returns:
        Rows whose values are stripped text by column; empty cells are absent.

    Raises:
        CatalogueError: the file or a column is missing, or a row cannot be read.
    """
    place = source.place(name)
    reader = csv.reader(
        (line for _, line in read_lines(source, name, decode)), delimiter=delimiter, strict=True
    )
    header: list[str] = []
    last_line = 0
    try:
        for cells in watched(reader, name):
            line, last_line = last_line + 1, reader.line_num  # quoted cells may span lines
            if not cells:
                continue
            if not header:
                header = check_header(f"{place}, line {line}", cells, columns)
                continue
            if last_takes_surplus and len(cells) > len(header):
                cells = [*cells[: len(header) - 1], delimiter.join(cells[len(header) - 1 :])]
            yield as_row(f"{place}, line {line}", header, cells)
    except csv.Error as error:
        raise CatalogueError(
            f"{place}, line {reader.line_num} is no such table ({error}); repair it."
        ) from None
    if not header:
        raise CatalogueError(f"{place} is empty; download it again.")


def as_row(place: str, header: Sequence[str], cells: Sequence[str]) -> Row:
    """A row of as many cells as the header has, stripped; empty cells are absent."""
    if len(cells) != len(header):
        column = header[min(len(cells), len(header) - 1)]
        raise Row(place, {}).error(column, f"the row has {len(cells)} cells, not {len(header)}; repair it")
    stripped = ((name, cell.strip()) for name, cell in zip(header, cells, strict=True))
    return Row(place, {name: cell for name, cell in stripped if cell})


def identifier(row: Row, column: str) -> str:
    """A non-empty id; "17850.0", which a spreadsheet makes of 17850, is 17850."""
    text = required_text(row, column)
    whole, point, rest = text.partition(".")
    return whole if point and whole.isdecimal() and rest.strip("0") == "" else text


def number(row: Row, column: str) -> float | None:
    """A finite number, as an int where it is whole, or None where the cell is empty."""
    if column not in row.values:
        return None
    value = as_number(row.values[column])
    if value is None:
        raise row.error(column, f"{row.values[column]!r} is not a number; repair it")
    return int(value) if value.is_integer() else value


def required_number(row: Row, column: str) -> float:
    """A finite number, as an int where it is whole."""
    required_text(row, column)
    value = number(row, column)
    assert value is not None
    return value


def required_whole(row: Row, column: str) -> int:
    """A whole number."""
    cell = row.values.get(column, "")
    if cell.isascii() and cell.isdecimal():  # nearly every one of MovieLens' millions
        return int(cell)
    value = required_number(row, column)
    if not isinstance(value, int):
        raise row.error(column, f"{value} is not a whole number; repair it")
    return value


def check_header(place: str, cells: Sequence[str], columns: Sequence[str]) -> list[str]:
    """The header's names, stripped, after a look that the columns are there, once each.

    Raises:
        CatalogueError: a column is missing or there twice.
    """
    names = [cell.strip() for cell in cells]
    for column in columns:
        if names.count(column) != 1:
            raise CatalogueError(
                f"{place}, column {column!r}: the header has it {names.count(column)} times, not once; "
                "give the original file."
            )
    return names


def _lines(file: IO[bytes], place: str, decode: Decode) -> Iterator[tuple[int, str]]:
    lines = iter(partial(file.readline, MAX_LINE_BYTES + 1), b"")
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE_BYTES:
            raise CatalogueError(f"{place}, line {number} is longer than {MAX_LINE_BYTES:,} bytes; split it.")
        try:
            yield number, decode(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
        except UnicodeDecodeError as error:
            raise CatalogueError(
                f"{place}, line {number}, byte {error.start + 1} is not UTF-8; download the file again."
            ) from None
