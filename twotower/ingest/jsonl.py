"""Read JSON Lines: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.ingest.lines import read_lines
from twotower.ingest.row import Row


def read_jsonl(path: Path) -> Iterator[Row]:
    """Read a file row by row; empty lines are skipped.

    Raises:
        CatalogueError: while reading, if a line is not a JSON object.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            values = json.loads(line.rstrip())
        except json.JSONDecodeError as error:
            raise CatalogueError(
                f"{place}, column {error.colno} is not JSON ({error.msg}): write one object a line"
            ) from None
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits; too deep
            raise CatalogueError(f"{place} cannot be read as JSON ({error}): repair it") from None
        if not isinstance(values, dict):
            raise CatalogueError(f"{place} is not a JSON object: write one object a line")
        yield Row(place, values)
