"""The first sheet of an .xlsx file, where openpyxl is installed."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO

from benchmarks.converters import source as sources
from benchmarks.converters.rows import as_row, check_header, watched
from benchmarks.converters.source import Source
from twotower.errors import CatalogueError
from twotower.ingest.row import Row


def read_spreadsheet(source: Source, name: str, columns: Sequence[str]) -> Iterator[Row]:
    """The rows below the header, as `read_table` gives them.

    Raises:
        CatalogueError: openpyxl is missing, the file is damaged or too large, or a column is missing.
    """
    place = source.place(name)
    try:
        import openpyxl  # type: ignore[import-untyped, unused-ignore]
    except ModuleNotFoundError:
        raise CatalogueError(f"{place} needs openpyxl; install it, or save the sheet as CSV.") from None
    with source.open(name) as packed, TemporaryFile() as copy:
        shutil.copyfileobj(packed, copy)
        _check_size(copy, place)
        book = openpyxl.load_workbook(copy, read_only=True, data_only=True)
        try:
            header: list[str] = []
            for line, values in enumerate(
                watched(book.worksheets[0].iter_rows(values_only=True), name), start=1
            ):
                cells = [_cell(value) for value in values]
                if not header:
                    header = check_header(f"{place}, line {line}", cells, columns)
                elif any(cells):
                    yield as_row(f"{place}, line {line}", header, cells)
        finally:
            book.close()


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.replace(microsecond=0).isoformat(sep=" ")
    return "" if value is None else str(value)


def _check_size(copy: IO[bytes], place: str) -> None:
    try:
        with zipfile.ZipFile(copy) as parts:
            size = sum(info.file_size for info in parts.infolist())
    except zipfile.BadZipFile as error:
        raise CatalogueError(f"{place} is no .xlsx file ({error}); download it again.") from None
    if size > sources.MAX_MEMBER_BYTES:
        raise CatalogueError(
            f"{place} expands to {size:,} bytes, over {sources.MAX_MEMBER_BYTES:,}; save it as CSV."
        )
