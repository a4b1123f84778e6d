"""Read CSV files, with every value as text."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from twotower.errors import CatalogueError
from twotower.ingest.cells import name_of, value_of
from twotower.ingest.lines import MAX_LINE_CHARACTERS, Line, read_lines
from twotower.ingest.options import ReadOptions
from twotower.ingest.row import OnBad, Row, stop
from twotower.ingest.values import LITERAL

SEPARATORS = ",;\t|"
_SAMPLE = 20  # lines from which the separator is found


def read_csv(path: Path, options: ReadOptions | None = None, on_bad: OnBad = stop) -> Iterator[Row]:
    """Read a file row by row; empty cells are None, and rows of nothing else are skipped.

    Args:
        path: a file whose first line names the columns.
        options: its separator and encoding.
        on_bad: receives the error of a row that is damaged or has too many cells or too few.

    Raises:
        CatalogueError: while reading, if there is no header or it is damaged.
    """
    options = options or ReadOptions()
    records = _Records(path, read_lines(path, options.encoding), options.separator)
    header: list[str | None] = []
    for number, cells in records:
        place = f"{path}, line {number}"
        if isinstance(cells, CatalogueError):
            if not header:
                raise cells
            on_bad(cells)
        elif not any(cell.strip() for cell in cells):
            continue
        elif not header:
            header = _header(place, cells)
        elif len(cells) != len(header) and (len(cells) != len(header) + 1 or cells[-1]):
            on_bad(
                CatalogueError(
                    f"{place} has {len(cells)} cells but the header has {len(header)}: repair the row"
                )
            )
        else:
            values = {
                name: value_of(cell) if name.startswith(LITERAL) else cell if cell.strip() else None
                for name, cell in zip(header, cells, strict=False)
                if name is not None
            }
            yield Row(place, values, typed=False)
    if not header:
        raise CatalogueError(f"{path} is empty: its first line must name the columns")


class _DamagedLineError(csv.Error):
    """A line of a record cannot be decoded; the cause says why."""


class _Records:
    """The records of a file: the number of the first line of each, and its cells or why it has none."""

    def __init__(self, path: Path, lines: Iterator[Line], separator: str | None) -> None:
        # The csv module's limit, 131,072 characters a cell, is one for the whole process: it is only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_CHARACTERS))
        self._path = path
        self._lines = lines
        self._ahead: deque[Line] = deque(islice(lines, _SAMPLE))
        self._taken: list[Line] = []
        if separator is None:
            separator = self._declared_in_file() or (
                "\t" if ".tsv" in path.suffixes[-2:] else found_separator([line for _, line in self._ahead])
            )
        self._separator = separator

    def __iter__(self) -> Iterator[tuple[int, list[str] | CatalogueError]]:
        reader = csv.reader(self._feed(), delimiter=self._separator, strict=True)
        while True:
            self._taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Only the first line is skipped: an open quote must not swallow what follows.
                (number, line), *rest = self._taken
                self._ahead.extendleft(reversed(rest))
                yield number, self._as_it_stands(line) or self._error(number, error)
                reader = csv.reader(self._feed(), delimiter=self._separator, strict=True)
            else:
                yield self._taken[0][0], cells

    def _feed(self) -> Iterator[str]:
        size = 0
        while entry := self._ahead.popleft() if self._ahead else next(self._lines, None):
            self._taken.append(entry)
            _, line = entry
            if isinstance(line, CatalogueError):
                raise _DamagedLineError from line
            size = len(line) + (size if len(self._taken) > 1 else 0)
            if size > MAX_LINE_CHARACTERS:
                raise csv.Error("a quote is not closed")
            yield line

    def _as_it_stands(self, line: str | CatalogueError) -> list[str] | None:
        """The cells of a line with tabs, in which many programs write quotes unescaped."""
        if self._separator != "\t" or isinstance(line, CatalogueError) or "\t" not in line:
            return None
        return line.rstrip("\r\n").split("\t")

    def _error(self, number: int, error: Exception) -> CatalogueError:
        if isinstance(error.__cause__, CatalogueError):
            return error.__cause__
        return CatalogueError(f"{self._path}, line {number} is not CSV ({error}): repair it")

    def _declared_in_file(self) -> str | None:
        """The separator of a first line such as "sep=;", which Excel writes and reads."""
        first = self._ahead[0][1] if self._ahead else ""
        if isinstance(first, str) and first.startswith("sep=") and len(first.rstrip("\r\n")) == 5:
            self._ahead.popleft()
            return first[4]
        return None


def found_separator(lines: Sequence[str | CatalogueError]) -> str:
    """The separator that gives the first line the most cells, and the other lines as many; "," if there is none."""
    sample = [line for line in lines if isinstance(line, str) and line.strip()]

    def fit(separator: str) -> tuple[int, int]:
        sizes = []
        try:
            for cells in csv.reader(sample, delimiter=separator, strict=True):
                sizes.append(len(cells))
        except csv.Error:
            pass
        return (sizes[0], sizes.count(sizes[0])) if sizes and sizes[0] > 1 else (0, 0)

    return max(SEPARATORS, key=fit)  # the first of equals


def _header(place: str, cells: list[str]) -> list[str | None]:
    """The names of the columns; None for an unnamed first one, into which pandas writes row numbers."""
    names: list[str | None] = [name_of(cell.strip()) for cell in cells]
    if len(names) > 1 and not names[-1]:
        names.pop()  # the line ends with a separator, as may the others
    if len(names) > 1 and not names[0]:
        names[0] = None
    for position, name in enumerate(names):
        if name == "":
            raise CatalogueError(f"{place}, column {position + 1} of the header has no name: add one")
        if name in names[:position]:
            raise CatalogueError(f"{place} names the column {name!r} twice: rename one of them")
    return names
