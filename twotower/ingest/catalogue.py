"""Read a catalogue: items from a .jsonl, .csv or .parquet file, or from a BEIR folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from twotower.errors import CatalogueError
from twotower.ingest.beir import corpus_rows
from twotower.ingest.csv import read_typed_csv
from twotower.ingest.fields import describe, image_path, is_finite, required_text, text, time
from twotower.ingest.formats import check_readable, read_rows
from twotower.ingest.row import Row
from twotower.types import AttributeValue, Item

FIELDS = ("id", "_id", "title", "text", "image", "time")
"""Columns with a meaning of their own; every other column is an attribute."""

MAX_DEPTH = 20


def read_catalogue(path: Path, *, bad: list[CatalogueError] | None = None) -> Iterator[Item]:
    """Read the items of a catalogue one by one.

    The fields are id (or "_id"), title, text, image and time; every other column or key is an attribute. In a BEIR
    folder the keys of `metadata` count as if they stood beside the id. An object inside an object becomes
    "outer.inner", a list of text stays a list, and null means that the item lacks the attribute. In CSV an empty cell
    is missing, and an attribute's column holds numbers if every filled cell is a finite number, booleans if every one
    is true or false, and text otherwise; for this a CSV file is read twice.

    Args:
        path: a .jsonl, .csv or .parquet file, or a BEIR folder with a corpus.jsonl. Text is UTF-8. Times are
            ISO-8601 with an offset or Z; Parquet timestamps have a time zone. Images are paths relative to
            the catalogue's folder and must not leave it; `Item.image` is absolute.
        bad: collects the error of each row with a field that cannot be used; None raises the first. A file that is
            not JSON Lines, CSV or Parquet at all is an error either way.

    Returns:
        The items, in the order of the file. Ids may repeat; the caller applies `check_item`.

    Raises:
        CatalogueError: at once if there is no such catalogue; while reading, if a row cannot be read, naming the
            file, the line and the field.
        MissingExtraError: a Parquet file needs pyarrow, which is not installed.
    """
    path = Path(path)
    if path.is_dir():
        rows, folder = corpus_rows(path), path.resolve()
    elif path.suffix == ".csv":
        check_readable(path)
        rows, folder = read_typed_csv(path, keep_text=FIELDS), path.parent.resolve()
    else:
        rows, folder = read_rows(path), path.parent.resolve()
    return _items(rows, folder, bad)


def _items(rows: Iterable[Row], folder: Path, bad: list[CatalogueError] | None) -> Iterator[Item]:
    for row in rows:
        try:
            item = _item(row, folder)
        except CatalogueError as error:
            if bad is None:
                raise
            bad.append(error)
        else:
            yield item


def _item(row: Row, folder: Path) -> Item:
    if "id" in row.values and "_id" in row.values:
        raise row.error("id", "the row also has '_id': keep one of them")
    return Item(
        id=required_text(row, "_id" if "_id" in row.values else "id"),
        title=text(row, "title"),
        text=text(row, "text"),
        image=image_path(row, folder),
        time=time(row),
        attributes=dict(_attributes(row)),
    )


def _attributes(row: Row) -> Iterator[tuple[str, AttributeValue]]:
    seen: set[str] = set()
    for name, value in _flat(row, row.values):
        if name in FIELDS or value is None:
            continue
        if name in seen:
            raise row.error(name, "two values would get this name: rename one of them")
        seen.add(name)
        yield name, _attribute(row, name, value)


def _flat(row: Row, values: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise row.error(prefix[:40], f"objects are nested more than {MAX_DEPTH} deep: flatten them")
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(row, value, f"{prefix}{key}.", depth + 1)
        else:
            yield prefix + key, value


def _attribute(row: Row, name: str, value: object) -> AttributeValue:
    if isinstance(value, list):
        for part in value:
            if not isinstance(part, str):
                raise row.error(name, f"a list may hold only text, not {describe(part)}")
        return value
    if isinstance(value, str | datetime) or (isinstance(value, int | float) and is_finite(value)):
        return value
    raise row.error(name, f"{describe(value)} cannot be an attribute: use text, a finite number or a boolean")
