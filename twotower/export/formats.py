"""Write a file in the format that its name says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from twotower.errors import StoreError
from twotower.export.parquet import write_parquet
from twotower.export.sheet import Sheet
from twotower.export.text import write_csv, write_json, write_jsonl
from twotower.ingest.formats import KNOWN, format_of

WRITERS: Mapping[str, Callable[[Path, Sheet], None]] = {
    ".jsonl": write_jsonl,
    ".ndjson": write_jsonl,
    ".json": write_json,
    ".csv": write_csv,
    ".tsv": partial(write_csv, separator="\t"),
    ".parquet": write_parquet,
}


def writer_of(path: Path) -> Callable[[Path, Sheet], None]:
    """The function that writes a file of this name.

    Raises:
        StoreError: its suffix is unknown.
    """
    writer = WRITERS.get(format_of(path))
    if writer is None:
        raise StoreError(f"'{path}' ends in '{''.join(path.suffixes[-2:])}': pass {KNOWN}")
    return writer
