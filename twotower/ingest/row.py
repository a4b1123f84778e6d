"""One record of a file, which knows its place there so that errors can name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from twotower.errors import CatalogueError

OnBad: TypeAlias = Callable[[CatalogueError], None]
"""Receives the error of a row that cannot be used: raises it, or remembers it, and reading goes on."""

_MAX_QUOTED = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file.

    Args:
        place: file and line, for error messages.
        values: by column; None where the value is missing.
        typed: whether the format has numbers, booleans and times; in CSV every value is text.
    """

    place: str
    values: Mapping[str, Any]
    typed: bool = True

    def error(self, column: str, problem: str) -> CatalogueError:
        """An error that names the file, the line and the column."""
        return CatalogueError(f"{self.place}, field {column[:_MAX_QUOTED]!r}: {problem}")


def stop(error: Exception) -> None:
    """Stop reading at the first row that cannot be used."""
    raise error


def ignore(error: Exception) -> None:
    """Leave out rows that cannot be used."""


def quoted(value: str) -> str:
    """A value between quotes, cut to what fits into a message."""
    return repr(value if len(value) <= _MAX_QUOTED else f"{value[:_MAX_QUOTED]}...")
