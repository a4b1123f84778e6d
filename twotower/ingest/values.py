"""What single values mean, whichever format or library they come from."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import date
from enum import Enum
from pathlib import Path
from uuid import UUID

import numpy as np

from twotower.ingest.row import quoted
from twotower.values import plain as plain_in_python

TIME = "$time"
"""The one key of an object that is a time, as `twotower export` writes it."""
PATH = "$path"
"""The same for an image that is a `Path`."""
JSON = "$json"
"""The same for the JSON of a value of an attribute that has values of several types."""
LITERAL = "attributes."
"""The object of attributes whose names are never those of fields, as `twotower export` writes it."""

MISSING_WORDS = frozenset({"n/a", "na", "#n/a", "nan", "nat", "null", "none", "nil", "-", "--", "\\n"})
"""What programs write, in any case, into a column of numbers, booleans or times where there is no value."""


def plain(value: object) -> object:
    """A value as `twotower.values.plain` returns it, so that every format and library gives the same.

    Beyond that, NaN, NaT and pandas' NA are None, and in a list they are left out; a date stays one, because it may
    be midnight somewhere else than in UTC; a UUID and a path are their text.
    """
    if value is None or type(value) in (str, bool, int, date):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, np.ndarray):
        return plain(list(value) if value.ndim else value[()])
    if isinstance(value, list | tuple | set | frozenset):
        return [part for part in map(plain, value) if part is not None]
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else value.astype("datetime64[us]").item()
    value = plain_in_python(value)
    return None if _is_missing(value) else value


def _is_missing(value: object) -> bool:
    """Whether a value is NaN, or NaT or NA of pandas, which is not imported for this."""
    return (isinstance(value, float) and value != value) or type(value).__name__ in ("NaTType", "NAType")


def is_marked(value: object, mark: str) -> bool:
    """Whether a value is an object with one key, such as `TIME`."""
    return isinstance(value, Mapping) and set(value) == {mark}


def boolean(text: str) -> bool | None:
    """A boolean that is written as "true" or "false" in any case; None if it is not one."""
    return {"true": True, "false": False}.get(text.strip().lower())


def is_missing_word(text: str) -> bool:
    """Whether a cell stands for a missing value; in a text column it is a value, such as Namibia's code "NA"."""
    return text.strip().lower() in MISSING_WORDS


def is_finite(value: float) -> bool:
    """Whether a number is neither NaN nor infinite nor an integer too large for a float."""
    return abs(value) <= sys.float_info.max


def is_url(text: str) -> bool:
    """Whether text is a URL."""
    return text.strip().lower().startswith(("http://", "https://", "//", "ftp://", "data:", "s3://", "gs://"))


def describe(value: object) -> str:
    """Describe a wrong value: NaN and the infinities by name, others by type."""
    if isinstance(value, float):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "a number")
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        return "a number"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | Mapping):
        return f"a {'list' if isinstance(value, list) else 'JSON object'}"
    return f"a {type(value).__name__}"
