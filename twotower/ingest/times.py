"""What values that stand for a time mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Literal, TypeAlias

from twotower.ingest.numbers import number
from twotower.ingest.row import quoted
from twotower.ingest.values import TIME, describe, is_marked

DateOrder: TypeAlias = Literal["day-first", "month-first"]
"""How dates such as 01/02/2026 are written."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((10**8, 1), (10**11, 10**3), (10**14, 10**6), (10**17, 10**9), (10**20, 0))
"""From which number on a time since 1970 is in seconds, milliseconds, microseconds or nanoseconds."""

_YEAR_FIRST = re.compile(
    r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|年(\d{1,2})月(\d{1,2})日)(?!\d)(.*)", re.ASCII
)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])\s?(\d{1,2})\2\s?(\d{4})(?!\d)(.*)", re.ASCII)
_CLOCK = re.compile(r"[T,\s]*(\d{1,2})([:时點点]\d{2}.*?)\s*([AP]M)?", re.ASCII | re.IGNORECASE)


def moment(value: object, zone: tzinfo | None = None, dates: DateOrder | None = None) -> datetime:
    """A value as an aware datetime.

    Args:
        value: an aware datetime; a date, which is midnight in the zone, or UTC without one; ISO-8601 text, or a date
            that begins with the year; or a number of seconds, milliseconds, microseconds or nanoseconds since 1970,
            whichever is after 1973.
        zone: of datetimes without one, which are an error if it is None.
        dates: the order of dates that end with the year, which are an error if it is None.

    Raises:
        ValueError: it is none of these; the message says what to do.
    """
    if isinstance(value, Mapping) and is_marked(value, TIME):
        value = value[TIME]
    if isinstance(value, str):
        value = _from_text(value.strip(), dates)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        value = _from_number(value)
    if not isinstance(value, date):
        raise ValueError(f"{describe(value)} is not a time: write it like 2026-01-31T08:00:00Z")
    try:
        return _aware(value, zone)
    except OverflowError:
        raise ValueError(
            f"{value.isoformat()} is outside the years 1 to 9999 in UTC: write a time within them"
        ) from None


def is_date_of_unknown_order(text: str) -> bool:
    """Whether text is a date whose order has to be declared, such as 31.12.2025."""
    return _YEAR_LAST.fullmatch(text.strip()) is not None


def _aware(value: date, zone: tzinfo | None) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=zone or UTC).astimezone(UTC)
    if value.utcoffset() is not None:
        value.astimezone(UTC)  # which must be possible
        return value
    if zone is None:
        raise ValueError(
            f"{value.isoformat()} has no time zone: add its offset, or Z for UTC, or declare the timezone"
        )
    return value.replace(tzinfo=zone).astimezone(UTC)


def _from_text(text: str, dates: DateOrder | None) -> date:
    if (value := number(text)) is not None:
        return _from_number(value)
    written = re.sub(r"(?<=\d) ?UTC$", "Z", _year_first(text, dates))
    for read in (date.fromisoformat, datetime.fromisoformat):
        try:
            return read(written)
        except ValueError:
            continue
    raise ValueError(f"{quoted(text)} is not an ISO-8601 time: write it like 2026-01-31T08:00:00Z")


def _year_first(text: str, dates: DateOrder | None) -> str:
    """A date in the order and with the digits of ISO 8601, whatever its separators; other text as it is."""
    if match := _YEAR_FIRST.fullmatch(text):
        year, _, month, day, month_too, day_too, rest = match.groups()
        month, day = month or month_too, day or day_too
    elif match := _YEAR_LAST.fullmatch(text):
        if dates is None:
            raise ValueError(
                f"{quoted(text)} may begin with its day or its month: declare dates day-first or "
                "month-first, or write it like 2026-01-31T08:00:00Z"
            )
        day, _, month, year, rest = match.groups()
        if dates == "month-first":
            day, month = month, day
    else:
        return text
    return f"{year}-{month:0>2}-{day:0>2}{_clock(rest)}"


def _clock(text: str) -> str:
    """The time of day with two digits for the hour of 24."""
    if (match := _CLOCK.fullmatch(text)) is None:
        return text.strip()
    hour, rest, half = match.groups()
    if half and 1 <= int(hour) <= 12:
        hour = str(int(hour) % 12 + (12 if half.upper() == "PM" else 0))
    elif half:
        return text  # no hour of 12
    rest = re.sub("[时點点分]", ":", rest).replace("秒", "").rstrip(":")
    return f"T{hour:0>2}{rest}"


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
