"""Attributes in CSV cells: text as it is, and as JSON anything that would not be read back unchanged.

`twotower export` names a column of such cells "attributes.NAME". A cell that is JSON is its value: 5, true,
["a", "b"], {"$time": "2026-01-31T08:00:00+00:00"}. Any other cell is text; text that could be mistaken for JSON, or
is blank, is quoted as JSON: "0.5", "true", " ".
"""

from __future__ import annotations

import json
from typing import Any

from twotower.ingest.values import LITERAL


def cell_of(value: Any) -> str:
    """The cell of a value.

    Args:
        value: plain JSON values.
    """
    if isinstance(value, str) and "\0" not in value and value_of(value) == value:
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def value_of(cell: str) -> Any:
    """The value of a cell; None if it is blank."""
    if not cell.strip():
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def column_of(name: str) -> str:
    """The column of an attribute; a name that a header would change is quoted."""
    return LITERAL + (name if _as_it_is(name) else json.dumps(name))


def name_of(column: str) -> str:
    """The column as other formats call it."""
    if column.startswith(f'{LITERAL}"') and isinstance(name := value_of(column.removeprefix(LITERAL)), str):
        return LITERAL + name
    return column


def _as_it_is(name: str) -> bool:
    return "\0" not in name and name.strip() == name and not name.startswith('"')
