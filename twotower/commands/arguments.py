"""Convert and check the arguments of the command line; argparse shows their error messages as they are."""

from __future__ import annotations

import json
import math
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from typing import Any


def words(text: str) -> str:
    """Text that can be written as UTF-8; a shell may pass arbitrary bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"must be UTF-8, got {text!a}") from None
    return text


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not (text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def offset(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def weight(text: str) -> float:
    """A finite number of at least 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ArgumentTypeError(f"must be a finite number of at least 0, got {text!r}")
    return number


def positive(text: str) -> float:
    """A finite number above 0."""
    if not (number := weight(text)) > 0:
        raise ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def pairs(text: str) -> list[tuple[str, str]]:
    """Names and values such as "text=description,time=release date"; a value may contain a comma."""
    found = [part.partition("=") for part in re.split(r",(?=[^,=]+=)", text)]
    if any(not mark or not name.strip() for name, mark, _ in found):
        raise ArgumentTypeError(f"must be pairs such as text=description,time=date, got {text!r}")
    return [(name.strip(), value.strip()) for name, _, value in found]


def separator(text: str) -> str:
    """One character, or "tab"."""
    character = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(character) != 1:
        raise ArgumentTypeError(f"must be one character or 'tab', got {text!r}")
    return character


def share(text: str) -> int | Fraction:
    """A whole number of at least 0, or a share such as "5%"."""
    number = text.removesuffix("%")
    if re.fullmatch(r"\d+" if number == text else r"\d+(\.\d+)?", number, re.ASCII) is None:
        raise ArgumentTypeError(f"must be a whole number or a share such as 5%, got {text!r}")
    return int(number) if number == text else min(Fraction(number) / 100, Fraction(1))


def moment(text: str) -> datetime:
    """An ISO-8601 time with an offset or Z."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.utcoffset() is None:
        raise ArgumentTypeError(f"must be a time with its zone, such as 2026-01-31T08:00:00Z, got {text!r}")
    return time


def where(text: str) -> Mapping[str, Any]:
    """A filter as JSON; ISO-8601 text that is compared with "time" becomes a datetime."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentTypeError(f"must be JSON, got {text!r} ({error})") from None
    if not isinstance(parsed, dict):
        raise ArgumentTypeError(f'must be a JSON object such as {{"brand": "Acme"}}, got {text!r}')
    words(json.dumps(parsed, ensure_ascii=False))  # an escape may encode half of a surrogate pair
    return {name: _with_times(part, of_time=name == "time") for name, part in parsed.items()}


def _with_times(value: Any, *, of_time: bool) -> Any:
    if isinstance(value, dict):
        return {name: _with_times(part, of_time=of_time or name == "time") for name, part in value.items()}
    if isinstance(value, list):
        return [_with_times(part, of_time=of_time) for part in value]
    return moment(value) if of_time and isinstance(value, str) else value
