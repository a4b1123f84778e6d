"""Take a field out of a row and check it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from pathlib import Path

from twotower.ingest.row import Row, quoted
from twotower.ingest.times import DateOrder, moment
from twotower.ingest.values import PATH, describe, is_marked, is_url, plain


def required_text(row: Row, column: str) -> str:
    """The field as non-empty text."""
    value = text(row, column)
    if not value:
        raise row.error(column, "it is missing or empty: every row needs one")
    return value


def text(row: Row, column: str | None) -> str:
    """The field as text, "" if it is missing; a whole number is its digits.

    Args:
        row: the row.
        column: None if the file has none for the field.
    """
    value = None if column is None else plain(row.values.get(column))
    if column is None or value is None:
        return ""
    if isinstance(value, float) and abs(value) < 2**53 and value.is_integer():
        value = int(value)  # if another id is missing, pandas turns 12 into 12.0
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise row.error(column, f"write it as text, not as {describe(value)}")
    return value


def time(
    row: Row, column: str | None, zone: tzinfo | None = None, dates: DateOrder | None = None
) -> datetime | None:
    """The field as an aware datetime, None if it is missing; see `moment`."""
    value = None if column is None else plain(row.values.get(column))
    if column is None or value is None or value == "":
        return None
    try:
        return moment(value, zone, dates)
    except ValueError as error:
        raise row.error(column, str(error)) from None


def image_path(
    row: Row, column: str | None, folder: Path | None, *, anywhere: bool = False
) -> str | Path | None:
    """The field, a path relative to `folder`, as an absolute path below it; None if it is missing.

    Links are followed, but the file is not opened. {"$path": ...} is a `Path`, other text a str.

    Args:
        row: the row.
        column: None if the file has none for the field.
        folder: an absolute path without links; None takes any path as it is.
        anywhere: whether the path may lead out of the folder.
    """
    given = None if column is None else _unpacked(row.values.get(column))
    if isinstance(given, Mapping) and is_marked(given, PATH):
        row = Row(row.place, {**row.values, str(column): given[PATH]}, row.typed)
        path = image_path(row, column, folder, anywhere=anywhere)
        return None if path is None else Path(path)
    value = text(row, column)
    if column is None or not value:
        return None
    if is_url(value):
        raise row.error(
            column, f"{quoted(value)} is a URL, which is not fetched: download the photo, and write its path"
        )
    if folder is None:
        return value
    try:
        path = (folder / value).resolve()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a NUL character
        raise row.error(column, f"{quoted(value)} is not a path: write one relative to the file") from None
    if anywhere:
        return str(folder / value)
    if not path.is_relative_to(folder):
        raise row.error(
            column,
            f"{quoted(value)} leads out of {folder}: keep images in the catalogue's folder, or set photos_anywhere",
        )
    return str(path)


def _unpacked(value: object) -> object:
    """An object {"$path": ...} that a format without objects holds as its JSON."""
    if not (isinstance(value, str) and value.startswith(f'{{"{PATH}"')):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
