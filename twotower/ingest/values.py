"""What single values mean, whichever format or library they come from."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Literal
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

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_GROUPED = {
    ".": re.compile(r"[+-]?\d{1,3}([, \u00a0\u202f'])\d{3}(\1\d{3})*(\.\d+)?", re.ASCII),
    ",": re.compile(r"[+-]?(\d+|\d{1,3}([. \u00a0\u202f'])\d{3}(\2\d{3})*)(,\d+)?", re.ASCII),
}
_MONEY = (
    r"(?:[$€£¥₹₩₽₺฿元円원]|USD|EUR|GBP|CNY|RMB|JPY|CHF|HKD|TWD|INR|KRW|AUD|CAD|SEK|NOK|DKK|PLN|CZK|BRL|MXN)"
)
_AMOUNT = re.compile(rf"([+-]?)\s*{_MONEY}?\s*([+-]?[\d.,][\d., '’]*)\s*{_MONEY}?", re.IGNORECASE)
_YEAR_FIRST = re.compile(
    r"(\d{4})[-/.年] ?(\d{1,2})[-/.月] ?(\d{1,2})日?(?:[ T]+(\d{1,2})(?=:)|(?=[ T]|$))", re.ASCII
)
_CURRENCY = re.compile(r"[$€£¥₹%]|\b[A-Z]{3}\b")
_MAYBE_NUMERIC = re.compile(r"[^a-z]*[0-9][^a-z]*")  # most text is not, which is found out quickly here
_CODE = re.compile(r"\+\d+|0\d+|\d+[eE]\d+|\d{16,}", re.ASCII)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((10**8, 1), (10**11, 10**3), (10**14, 10**6), (10**17, 10**9), (10**20, 0))
"""From which number on a time since 1970 is in seconds, milliseconds, microseconds or nanoseconds."""


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


def number(text: str, decimal: Literal[".", ","] | None = None) -> int | float | None:
    """The number that text stands for, None if it is not a finite one; see `ReadOptions` for `decimal`."""
    text = text.strip()
    if decimal is not None and _GROUPED[decimal].fullmatch(text):
        groups = ". \u00a0\u202f'" if decimal == "," else ", \u00a0\u202f'"
        text = text.translate({ord(mark): None for mark in groups}).replace(decimal, ".")
    elif decimal == "," or not _PLAIN.fullmatch(text):
        return None
    try:
        value = int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:  # an integer of thousands of digits
        return None
    return value if is_finite(value) else None


def amount(text: str, decimal: Literal[".", ","] | None = None) -> int | float | None:
    """The number in text that may name a currency at either end, such as "$1,299.00"; None if there is none.

    Without `decimal` the later of "." and "," is the decimal mark where both occur.
    """
    if (value := number(text, decimal)) is not None:
        return value
    found = _AMOUNT.fullmatch(unicodedata.normalize("NFKC", text).strip())
    if found is None:
        return None
    digits = found[1] + found[2].replace("’", "'").strip()
    marks = sorted({".", ","} & set(digits), key=digits.rindex)
    if decimal is None and len(marks) == 2:
        decimal = "." if marks[-1] == "." else ","
    return number(digits, decimal)


def decimals_of(text: str) -> str:
    """The decimal marks that make text a number, for advice; "" if there are none, or without one it is a number."""
    if amount(text) is not None:
        return ""
    names: dict[Literal[".", ","], str] = {".": "a point", ",": "a comma"}
    return " or ".join(name for mark, name in names.items() if amount(text, mark) is not None)


def is_code(text: str) -> bool:
    """Whether a number has a form that only codes have: "007", "+49301234", "12E5", or 16 digits or more."""
    return _CODE.fullmatch(text.strip()) is not None


def looks_numeric(text: str) -> bool:
    """Whether text is a number in another notation, such as "1.299,00", "1,299.00" or "$5"."""
    if not _MAYBE_NUMERIC.fullmatch(text):
        return False
    text = _CURRENCY.sub("", text).strip()
    return any(number(text, decimal) is not None for decimal in (None, ".", ","))


def boolean(text: str) -> bool | None:
    """A boolean that is written as "true" or "false" in any case; None if it is not one."""
    return {"true": True, "false": False}.get(text.strip().lower())


def is_missing_word(text: str) -> bool:
    """Whether a cell stands for a missing value; in a text column it is a value, such as Namibia's code "NA"."""
    return text.strip().lower() in MISSING_WORDS


def moment(value: object, zone: tzinfo | None = None) -> datetime:
    """A value as an aware datetime.

    Args:
        value: an aware datetime; a date, which is midnight in the zone, or UTC without one; ISO-8601 text; or a
            number of seconds, milliseconds, microseconds or nanoseconds since 1970, whichever is after 1973.
        zone: of datetimes without one, which are an error if it is None.

    Raises:
        ValueError: it is none of these; the message says what to do.
    """
    if isinstance(value, Mapping) and is_marked(value, TIME):
        value = value[TIME]
    if isinstance(value, str):
        value = _from_text(value.strip())
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = _from_number(value)
    if isinstance(value, datetime):
        if value.utcoffset() is not None:
            return value
        if zone is None:
            raise ValueError(
                f"{value.isoformat()} has no time zone: add its offset, or Z for UTC, or declare the timezone"
            )
        return _in_utc(value, zone)
    if isinstance(value, date):
        return _in_utc(datetime(value.year, value.month, value.day), zone or UTC)
    raise ValueError(f"{describe(value)} is not a time: write it like 2026-01-31T08:00:00Z")


def _in_utc(value: datetime, zone: tzinfo) -> datetime:
    try:
        return value.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        raise ValueError(
            f"{value.isoformat()} is not a time in the years 1 to 9999 of UTC: repair it"
        ) from None


def _from_text(text: str) -> date:
    if (value := number(text)) is not None:
        return _from_number(value)
    written = re.sub(r"(?<=\d) ?UTC$", "Z", _iso(text))
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(written)
        except ValueError:
            continue
    raise ValueError(f"{quoted(text)} is not an ISO-8601 time: write it like 2026-01-31T08:00:00Z")


def _iso(text: str) -> str:
    """A time that begins with its year as ISO 8601 writes it: "2026/3/1 8:05" and "2026年3月1日" too."""
    found = _YEAR_FIRST.match(unicodedata.normalize("NFKC", text))
    if found is None:
        return text
    year, month, day, hour = found.groups()
    hour = "" if hour is None else f" {hour:0>2}"
    return f"{year}-{month:0>2}-{day:0>2}{hour}{found.string[found.end() :]}"


def _from_number(value: float) -> date:
    if 10**7 <= value < 10**8 and value == int(value):  # 20260131
        try:
            return date(int(value) // 10_000, int(value) // 100 % 100, int(value) % 100)
        except ValueError:
            pass
    for (start, unit), (end, _) in pairwise(_UNITS):
        if start <= value < end:
            seconds, rest = divmod(value, unit)
            try:
                return _EPOCH + timedelta(seconds=seconds, microseconds=int(rest * 10**6 // unit))
            except OverflowError:
                break
    raise ValueError(
        f"{value} is neither seconds nor milliseconds since 1970: write it like 2026-01-31T08:00:00Z"
    )


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
