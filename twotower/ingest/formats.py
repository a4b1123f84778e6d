"""Read a file of rows in the format that its suffix names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.ingest.csv import read_csv
from twotower.ingest.jsonl import read_jsonl
from twotower.ingest.parquet import read_parquet
from twotower.ingest.row import Row

READERS: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}


def check_readable(path: Path) -> None:
    """Refuse a file that is missing or in another format.

    Raises:
        CatalogueError: it is.
    """
    if not path.is_file():
        raise CatalogueError(f"{path} is not a file: give a .jsonl, .csv or .parquet file that exists")
    if path.suffix not in READERS:
        raise CatalogueError(f"{path} ends in '{path.suffix}': give a .jsonl, .csv or .parquet file")


def read_rows(path: Path) -> Iterator[Row]:
    """Read a file row by row.

    Args:
        path: a .jsonl or .csv file in UTF-8, with or without a byte order mark, or a .parquet file.

    Raises:
        CatalogueError: at once if the file is missing or in another format; while reading, if a row is damaged.
    """
    check_readable(path)
    return READERS[path.suffix](path)
