"""How to read a file whose columns do not speak for themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from reprlib import repr as shown
from typing import Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo

from multimodal.checks import check_choice, check_is, check_text, texts_of

ColumnType: TypeAlias = Literal["text", "number", "boolean", "time"]
"""The types of attributes; a list of values has the type of its values."""


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file; what is not passed is inferred from the file itself.

    Args:
        columns: the column of each field, such as {"text": "description"}; "" means that no column is this field. A
            name that is not a field becomes the name of the attribute in its column, such as {"brand": "Marke"}.
        types: the type of each attribute, such as {"gtin": "text", "price": "number"}.
        separator: between the cells of CSV, one character; None finds it among "," ";" tab and "|".
        decimal: "," reads "1.299,00" in CSV and in text that must be a number, "." reads "1,299.00"; None reads
            "1299.00", and among prices and declared numbers what can be one number only.
        encoding: of text files that have no byte order mark, such as "gb18030" or "cp1252".
        timezone: of times without one: "Europe/Berlin", "+08:00" or "UTC". None refuses them, except for dates, which
            begin at midnight UTC.
        dates: the order of dates that end with the year, such as 31.12.2025: "day-first" or "month-first"; None
            refuses them.
        ignore: columns to leave out; the name of an object leaves out all that is in it.
        photos_anywhere: whether photos may be outside the file's folder; an untrusted file could name any file of
            this machine.

    Raises:
        ValueError: an option has another value.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    separator: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str = "utf-8"
    timezone: str | None = None
    photos_anywhere: bool = False
    dates: Literal["day-first", "month-first"] | None = None
    ignore: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("columns", "types"):
            check_is(name, getattr(self, name), Mapping, "a mapping")
        for name in ("separator", "encoding", "timezone"):
            if (value := getattr(self, name)) is not None or name == "encoding":
                check_text(name, value)
        self._check_types()
        if self.separator is not None and (len(self.separator) != 1 or self.separator in '"\r\n'):
            raise ValueError(f"separator must be one character such as ';', got {shown(self.separator)}")
        for name, choices in (("decimal", (".", ",")), ("dates", ("day-first", "month-first"))):
            if (value := getattr(self, name)) is not None:
                check_choice(name, value, choices)
        for name in texts_of("ignore", self.ignore):
            check_text("a column to ignore", name)
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ValueError(
                f"encoding must be a text encoding such as 'utf-8' or 'gb18030', got {shown(self.encoding)}"
            ) from None
        _ = self.zone

    def _check_types(self) -> None:
        for name, chosen in self.types.items():
            if not isinstance(chosen, str) or chosen not in get_args(ColumnType):
                known = ", ".join(get_args(ColumnType))
                raise ValueError(f"the type of {name!r} must be one of {known}, got {shown(chosen)}")

    @cached_property
    def zone(self) -> tzinfo | None:
        """The time zone as Python knows it."""
        return None if self.timezone is None else _zone(self.timezone)


def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC  # works without a time zone database
    try:
        if name.startswith(("+", "-")):
            return datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo or UTC
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # not a name, a folder of names, not in the database
        raise ValueError(
            f"timezone must be a name such as 'Europe/Berlin' or an offset such as '+08:00', got {shown(name)}"
        ) from None
