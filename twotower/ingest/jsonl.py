"""Read JSON Lines: one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.ingest.lines import read_lines
from twotower.ingest.options import ReadOptions
from twotower.ingest.row import OnBad, Row, stop


def read_jsonl(path: Path, options: ReadOptions | None = None, on_bad: OnBad = stop) -> Iterator[Row]:
    """Read a file row by row; empty lines are skipped.

    Args:
        path: of an existing file.
        options: its encoding.
        on_bad: receives the error of a line that is not a JSON object.
    """
    for number, line in read_lines(path, (options or ReadOptions()).encoding):
        if isinstance(line, CatalogueError):
            on_bad(line)
        elif line.strip():
            try:
                row = Row(f"{path}, line {number}", _parsed(f"{path}, line {number}", line))
            except CatalogueError as error:
                on_bad(error)
            else:
                yield row


def _parsed(place: str, line: str) -> dict[str, object]:
    try:
        values = json.loads(line.rstrip())
    except json.JSONDecodeError as error:
        raise CatalogueError(
            f"{place}, column {error.colno} is not JSON ({error.msg}): write one object per line"
        ) from None
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; too deep
        raise CatalogueError(f"{place} cannot be read as JSON ({error}): repair it") from None
    if not isinstance(values, dict):
        raise CatalogueError(f"{place} is not a JSON object: write one object per line")
    return values
