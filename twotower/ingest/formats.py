"""Read a file of rows in the format that its name says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.ingest.csv import read_csv
from twotower.ingest.json_array import read_json
from twotower.ingest.jsonl import read_jsonl
from twotower.ingest.options import ReadOptions
from twotower.ingest.parquet import read_parquet
from twotower.ingest.row import OnBad, Row, stop

READERS: Mapping[str, Callable[[Path, ReadOptions, OnBad], Iterator[Row]]] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_csv,
    ".parquet": read_parquet,
}
KNOWN = "a .jsonl, .json, .csv, .tsv or .parquet file (all but the last may be gzipped)"


def check_readable(path: Path) -> None:
    """Refuse a file that is missing or in another format.

    Raises:
        CatalogueError: it is.
    """
    if not path.is_file():
        raise CatalogueError(f"{path} is not a file: pass {KNOWN}")
    if format_of(path) not in READERS:
        raise CatalogueError(f"{path} ends in '{''.join(path.suffixes[-2:])}': pass {KNOWN}")


def read_rows(path: Path, options: ReadOptions | None = None, on_bad: OnBad = stop) -> Iterator[Row]:
    """Read a file row by row.

    Args:
        path: see `KNOWN`.
        options: the separator and encoding of text.
        on_bad: receives the error of each row that is damaged.

    Raises:
        CatalogueError: at once if the file is missing or in another format; while reading, if what follows cannot be
            read.
    """
    check_readable(path)
    return READERS[format_of(path)](path, options or ReadOptions(), on_bad)


def format_of(path: Path) -> str:
    """The suffix that determines a file's format, such as ".csv" of "shop.csv.gz"."""
    first, last = ["", "", *(suffix.lower() for suffix in path.suffixes)][-2:]
    return last if last != ".gz" else first if first != ".parquet" else last
