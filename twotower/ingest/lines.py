"""Lines of a text file, compressed or not."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from twotower.errors import CatalogueError

MAX_LINE_CHARACTERS = 10_000_000

Line: TypeAlias = tuple[int, "str | CatalogueError"]
"""The number of a line, from 1, and its text including its end, or why it cannot be read."""

_UNDECODABLE = re.compile("[\udc80-\udcff\x00]")  # what Python decodes undecodable bytes to, and NUL


@contextmanager
def open_text(path: Path, encoding: str = "utf-8") -> Iterator[io.TextIOWrapper]:
    """Open a text file, decompressing .gz; a byte order mark decides the encoding, line ends stay as they are.

    Raises:
        CatalogueError: while reading, if a .gz file is damaged.
    """
    with path.open("rb") as stored:
        packed = path.suffix.lower() == ".gz"
        plain = io.BufferedReader(gzip.GzipFile(fileobj=stored)) if packed else stored
        try:
            mark = plain.peek(3)
            if mark.startswith(BOM_UTF8):
                encoding = "utf-8-sig"
            elif mark.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
                encoding = "utf-16"
            yield io.TextIOWrapper(plain, encoding=encoding, errors="surrogateescape", newline="")
        except UnicodeError as error:
            raise CatalogueError(
                f"{path} is not {encoding} ({str(error)[-100:]}): save it as UTF-8"
            ) from None
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CatalogueError(f"{path} is not a complete .gz file ({error}): compress it again") from None


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[Line]:
    """Read a file line by line.

    Args:
        path: of an existing file.
        encoding: of a file without a byte order mark.

    Returns:
        Numbers from 1 and lines; a line that is too long or not in the encoding comes as an error.
    """
    with open_text(path, encoding) as file:
        number = 0
        while line := file.readline(MAX_LINE_CHARACTERS + 1):
            number += 1
            if len(line) > MAX_LINE_CHARACTERS:
                while line and not line.endswith(("\n", "\r")):
                    line = file.readline(MAX_LINE_CHARACTERS)
                yield (
                    number,
                    CatalogueError(
                        f"{path}, line {number} is longer than {MAX_LINE_CHARACTERS:,} characters: shorten it"
                    ),
                )
            else:
                yield number, undecodable(f"{path}, line {number}", line, encoding) or line


def undecodable(place: str, text: str, encoding: str) -> CatalogueError | None:
    """The error of text with bytes that are not in the encoding; None if there are none."""
    if text.isascii() and "\0" not in text:
        return None
    found = _UNDECODABLE.search(text)
    if found is None:
        return None
    if found.group() == "\0":
        return CatalogueError(
            f"{place} holds a NUL character, so it is not {encoding}: save it as UTF-8 text"
        )
    byte = len(text[: found.start()].encode(encoding, "surrogateescape")) + 1
    return CatalogueError(
        f"{place}, byte {byte} is not {encoding.upper()}: save the file as UTF-8, or name its encoding, such as "
        "gb18030 (Chinese) or cp1252 (Western Europe)"
    )
