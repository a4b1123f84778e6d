"""Check arguments; an error names the argument and its value in one short sentence."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from reprlib import repr as shown
from typing import Any


def check_number(name: str, value: Any) -> None:
    """Check that a value is a real number; the caller checks its range.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number, got {shown(value)}")


def check_whole(name: str, value: Any) -> None:
    """Check that a value is a whole number; the caller checks its range.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, got {shown(value)}")


def check_text(name: str, value: Any) -> None:
    """Check that a value is text.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be text, got {shown(value)}")


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Check that a value is one of the allowed names.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be {' or '.join(map(repr, choices))}, got {shown(value)}")


def check_is(name: str, value: Any, kind: type, what: str) -> None:
    """Check that a value is of a type.

    Args:
        name: of the argument.
        value: to check.
        kind: the type, or a runtime-checkable protocol.
        what: the type in words, such as "a mapping".

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {what}, got {shown(value)}")


def check_path(name: str, value: Any) -> None:
    """Check that a value is a path that file systems accept.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name} must be a path, got {shown(value)}")
    if any(len(part.encode(errors="surrogatepass")) > 255 for part in Path(value).parts):
        raise ValueError(f"{name} must be a path, got {shown(str(value))} with a name of more than 255 bytes")


def listed(name: str, value: Iterable[Any] | Any) -> list[Any]:
    """Convert an iterable to a list.

    Raises:
        ValueError: it is a single string, a mapping, or not iterable.
    """
    if isinstance(value, str | bytes):
        raise ValueError(f"{name} must be a list: pass [{shown(value)}]")
    if isinstance(value, Iterable) and not isinstance(value, Mapping | type):
        try:
            return list(value)
        except TypeError:  # a zero-dimensional array
            pass
    raise ValueError(f"{name} must be a list, got {shown(value)}")
