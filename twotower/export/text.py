"""Write rows as JSON Lines, as a JSON array, or as CSV."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from twotower.errors import StoreError
from twotower.export.sheet import FieldType, Sheet
from twotower.ingest.cells import cell_of, column_of

CSV_ENCODING = "utf-8-sig"  # without a byte order mark, Excel does not read a file as UTF-8


def write_jsonl(path: Path, sheet: Sheet) -> None:
    """Write one JSON object per line."""
    with _opened(path) as file:
        for row in sheet.rows:
            file.write(_object(row) + "\n")


def write_json(path: Path, sheet: Sheet) -> None:
    """Write an array of JSON objects, one per line."""
    with _opened(path) as file:
        before = "[\n"
        for row in sheet.rows:
            file.write(before + _object(row))
            before = ",\n"
        file.write("\n]\n" if before != "[\n" else "[]\n")


def write_csv(path: Path, sheet: Sheet, *, separator: str = ",") -> None:
    """Write a header and one record per row, attributes as `twotower.ingest.cells` says.

    Raises:
        StoreError: a field holds text that CSV cannot distinguish from a missing value.
    """
    names = list(sheet.shapes())
    with _opened(path, CSV_ENCODING) as file:
        # Quotes keep separators in the header's names from being mistaken for the file's.
        header = csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL)
        header.writerow([*sheet.fields, *(column_of(name) for name in names)])
        records = csv.writer(file, delimiter=separator)
        for row in sheet.rows:
            attributes = row.get("attributes", {})
            records.writerow(
                [
                    *(_field(row, name, kind) for name, kind in sheet.fields.items()),
                    *(cell_of(attributes[name]) if name in attributes else "" for name in names),
                ]
            )


def _object(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


def _field(row: Mapping[str, Any], name: str, kind: FieldType) -> str:
    value = row.get(name, "")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if kind == "text" and text and (not text.strip() or "\0" in text):
        raise StoreError(
            f"the row of {next(iter(row.values()))!r}, field {name!r}: CSV cannot hold blank text or NUL "
            "characters: export to .jsonl or .parquet"
        )
    return text


@contextmanager
def _opened(path: Path, encoding: str = "utf-8") -> Iterator[TextIO]:
    """A new file, gzipped if its name ends in .gz; line ends are written unchanged."""
    if path.suffix.lower() != ".gz":
        with path.open("w", encoding=encoding, newline="") as file:
            yield file
    else:
        with gzip.open(path, "wt", encoding=encoding, newline="") as packed:
            yield packed
