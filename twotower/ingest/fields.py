"""Take a field out of a row and check it."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path

from twotower.ingest.row import Row

# float() also accepts "1_000", "nan" and "infinity", which no shop means as a price.
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def as_number(cell: str) -> float | None:
    """A CSV cell as a finite number, or None if it is not one."""
    if not _NUMBER.fullmatch(cell):
        return None
    number = float(cell)
    return number if is_finite(number) else None


def is_finite(number: float) -> bool:
    """Whether a number is neither NaN nor infinite nor an integer too large for a float."""
    return abs(number) <= sys.float_info.max


def required_text(row: Row, field: str) -> str:
    """The field as non-empty text."""
    value = text(row, field)
    if not value:
        raise row.error(field, "it is missing or empty: give every row one")
    return value


def text(row: Row, field: str) -> str:
    """The field as text, "" if it is missing."""
    value = row.values.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise row.error(field, f"write it as text, not as {describe(value)}")
    return value


def time(row: Row, field: str = "time") -> datetime | None:
    """The field as an aware datetime, None if it is missing."""
    value = row.values.get(field)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise row.error(
                field, f"{value!r} is not an ISO-8601 time: write it like 2026-01-31T08:00:00Z"
            ) from None
    if not isinstance(value, datetime):
        raise row.error(
            field, f"{describe(value)} is not an ISO-8601 time: write it like 2026-01-31T08:00:00Z"
        )
    if value.utcoffset() is None:
        raise row.error(field, f"{value.isoformat()} has no time zone: add its offset, or Z for UTC")
    return value


def image_path(row: Row, folder: Path) -> str | None:
    """The field "image", a path relative to `folder`, as an absolute path below it; None if it is missing.

    Links are followed; apart from that the file is not touched.

    Args:
        row: the row.
        folder: an absolute path without links.
    """
    value = text(row, "image")
    if not value:
        return None
    try:
        path = (folder / value).resolve()
    except (OSError, RuntimeError, ValueError):  # too long, a loop of links, a NUL character
        raise row.error("image", f"{value[:200]!r} is not a path: give one relative to the file") from None
    if not path.is_relative_to(folder):
        raise row.error("image", f"{value!r} leads out of {folder}: keep images in the catalogue's folder")
    return str(path)


def describe(value: object) -> str:
    """Describe a wrong value: NaN and the infinities by name, others by type."""
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "a number")
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        return "a number"
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'JSON object'}"
    return f"a {type(value).__name__}"
