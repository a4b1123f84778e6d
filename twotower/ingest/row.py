"""One record of a file, which knows where it stands so that errors can say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twotower.errors import CatalogueError


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file.

    Args:
        place: file and line, for error messages.
        values: by field. In a CSV file all values are text and empty cells are absent.
    """

    place: str
    values: dict[str, Any]

    def error(self, field: str, problem: str) -> CatalogueError:
        """An error that names the file, the line and the field."""
        return CatalogueError(f"{self.place}, field {field!r}: {problem}")
