"""Lines of a UTF-8 text file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from twotower.errors import CatalogueError

MAX_LINE_BYTES = 10_000_000


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read a file line by line, with or without a byte order mark.

    Args:
        path: of an existing file.

    Returns:
        Line numbers from 1 and lines, with their line ends.

    Raises:
        CatalogueError: while reading, if a line is too long or not UTF-8.
    """
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise CatalogueError(
                    f"{path}, line {number} is longer than {MAX_LINE_BYTES:,} bytes: split or shorten it"
                )
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise CatalogueError(
                    f"{path}, line {number}, byte {error.start + 1} is not UTF-8: convert the file to UTF-8"
                ) from None
