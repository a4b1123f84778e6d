"""Read a .json file: an array of objects, one element at a time, or one object per line as in JSON Lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from twotower.errors import CatalogueError
from twotower.ingest.jsonl import read_jsonl
from twotower.ingest.lines import MAX_LINE_CHARACTERS, open_text, undecodable
from twotower.ingest.options import ReadOptions
from twotower.ingest.row import OnBad, Row, stop

_CHUNK = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")


def read_json(path: Path, options: ReadOptions | None = None, on_bad: OnBad = stop) -> Iterator[Row]:
    """Read a file row by row.

    Args:
        path: of an existing file.
        options: its encoding.
        on_bad: receives the error of an element that is not an object.

    Raises:
        CatalogueError: while reading, if the file is not JSON: what follows the damage cannot be read.
    """
    encoding = (options or ReadOptions()).encoding
    with open_text(path, encoding) as file:
        text = _Text(path, file)
        if text.next_character() == "[":
            yield from _elements(text, encoding, on_bad)
            return
        if text.next_character() not in ("{", ""):
            raise text.error("it must hold an array of objects")
    yield from read_jsonl(path, options, on_bad)


def _elements(text: _Text, encoding: str, on_bad: OnBad) -> Iterator[Row]:
    text.skip(1)
    if text.next_character() == "]":
        text.skip(1)
    else:
        while True:
            text.next_character()
            place = f"{text.path}, line {text.line}"
            value, source = text.value()
            if (error := undecodable(place, source, encoding)) is not None:
                on_bad(error)
            elif isinstance(value, dict):
                yield Row(place, value)
            else:
                on_bad(CatalogueError(f"{place} is not a JSON object: write an array of objects"))
            if (mark := text.next_character()) not in (",", "]"):
                raise text.error("expected ',' or ']'")
            text.skip(1)
            if mark == "]":
                break
    if text.next_character():
        raise text.error("something follows the array")


class _Text:
    """A file of JSON and how far it has been read; only the element being read is in memory."""

    def __init__(self, path: Path, file: TextIOWrapper) -> None:
        self.path = path
        self.line = 1
        self._file = file
        self._text = ""
        self._at = 0
        self._ended = False
        self._decoder = json.JSONDecoder()

    def next_character(self) -> str:
        """The character after any space, which is skipped; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self.skip(0 if match is None else match.end() - self._at)
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read()

    def skip(self, length: int) -> None:
        """Advance by some characters."""
        self.line += self._text.count("\n", self._at, self._at + length)
        self._at += length

    def value(self) -> tuple[Any, str]:
        """The value that begins here, and its source."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or len(self._text) - self._at > MAX_LINE_CHARACTERS:
                    raise self.error(error.msg) from None
            except (ValueError, RecursionError) as error:  # an integer of thousands of digits; too deep
                raise self.error(str(error)) from None
            else:
                if end < len(self._text) or self._ended:  # a number may continue
                    source = self._text[self._at : end]
                    self.skip(end - self._at)
                    return value, source
            self._read()

    def error(self, problem: str) -> CatalogueError:
        """The file is not JSON."""
        return CatalogueError(f"{self.path}, line {self.line} is not JSON ({problem}): repair the file")

    def _read(self) -> None:
        rest = self._text[self._at :]
        more = self._file.read(
            max(_CHUNK, len(rest))
        )  # twice as much each time, so that long elements stay linear
        self._text, self._at, self._ended = rest + more, 0, not more
