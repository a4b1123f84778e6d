"""The options of commands that read a shop's file, and the report on rows that could not be used."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import get_args

from twotower.commands import arguments
from twotower.ingest.options import ColumnType, ReadOptions

MAX_EXAMPLES = 20
MAX_REASONS = 8

_PLACE = re.compile(
    r"^.*?, (?:line|row) [\d,]+(?:, |: | )?|^(?:item|event) (?:'[^']*'|\d+)(?:, )?", re.DOTALL
)
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|\d(?:[\d.,:+-]*\w)?")


def add_read_options(parser: ArgumentParser, what: str) -> None:
    """Add the options that say how to read a file, and what becomes of rows that cannot be used.

    Args:
        parser: where to.
        what: the rows are, such as "items".
    """
    for name, metavar, purpose in (
        (
            "--columns",
            "FIELD=COLUMN,...",
            "which columns to read as which fields or attributes, such as text=description,brand=Marke",
        ),
        (
            "--types",
            "NAME=TYPE,...",
            f"types of attributes, such as gtin=text,price=number: {', '.join(get_args(ColumnType))}",
        ),
    ):
        parser.add_argument(
            name, type=arguments.pairs, action="extend", default=[], metavar=metavar, help=purpose
        )
    parser.add_argument(
        "--separator",
        type=arguments.separator,
        metavar="C",
        help="separator of CSV cells, one character or 'tab' (default: detected)",
    )
    parser.add_argument(
        "--decimal",
        choices=(".", ","),
        metavar="MARK",
        help="decimal mark of numbers with thousands separators: ',' for 1.299,00, '.' for 1,299.00",
    )
    parser.add_argument(
        "--encoding", default="utf-8", help="encoding of text files, such as gb18030 (default: utf-8)"
    )
    parser.add_argument(
        "--timezone", metavar="ZONE", help="time zone of times that have none, such as Europe/Berlin"
    )
    parser.add_argument(
        "--dates",
        choices=("day-first", "month-first"),
        help="order of dates that end with the year, such as 31.12.2025 or 12/31/2025",
    )
    parser.add_argument(
        "--ignore", nargs="+", action="extend", default=[], metavar="COLUMN", help="columns to leave out"
    )
    parser.add_argument(
        "--on-bad", choices=("stop", "skip"), help=f"what to do with bad {what} (default: stop)"
    )
    parser.add_argument(
        "--max-skipped",
        type=arguments.share,
        metavar="N|N%",
        help="skip bad ones, but fail if there are more than this number or share",
    )


def read_options(given: Namespace) -> ReadOptions:
    """The values of the options that `add_read_options` added."""
    try:
        return ReadOptions(
            dict(given.columns),
            dict(given.types),
            given.separator,
            given.decimal,
            given.encoding,
            given.timezone,
            dates=given.dates,
            ignore=given.ignore,
        )
    except ValueError as error:
        given.parser.error(str(error))
        raise  # not reached: argparse exits


def skipped_of(given: Namespace) -> Skipped | None:
    """A collector of rows to leave out, by the options of `add_read_options`; None stops at the first."""
    if given.max_skipped is None and given.on_bad != "skip":
        return None
    if given.on_bad == "stop":
        given.parser.error("--max-skipped contradicts --on-bad stop: pass one of them")
    return Skipped(given.max_skipped)


class Skipped:
    """The rows that were left out: how many, why, and the first of them.

    Args:
        limit: how many may be left out: a number, or a Fraction of all rows; None is all but the last.

    Attributes:
        count: how many were left out.
    """

    def __init__(self, limit: int | Fraction | None = None) -> None:
        self.count = 0
        self._limit = limit
        self._examples: list[str] = []
        self._reasons: Counter[str] = Counter()

    def add(self, problem: object) -> None:
        """Leave out a row.

        Args:
            problem: one sentence.
        """
        self.count += 1
        self._reasons[reason_of(str(problem))] += 1
        if len(self._examples) < MAX_EXAMPLES:
            self._examples.append(str(problem))

    def failure(self, good: int) -> str:
        """Why too many rows were left out, "" if they are few enough.

        Args:
            good: how many rows could be used.
        """
        total = good + self.count
        if self.count and not good:
            return f"none of the {total:,} rows can be used"
        limit = self._limit * total if isinstance(self._limit, Fraction) else self._limit
        if limit is None or self.count <= limit:
            return ""
        share = f"{float(100 * self._limit):g} %" if isinstance(self._limit, Fraction) else f"{self._limit:,}"
        return f"{self.count:,} of {total:,} rows cannot be used, more than {share}"

    def lines(self) -> Iterator[str]:
        """One line with the counts by reason, then the first rows that were left out."""
        if not self.count:
            return
        counts = [f"{count:,} {reason}" for reason, count in self._reasons.most_common(MAX_REASONS)]
        if (rest := self.count - sum(count for _, count in self._reasons.most_common(MAX_REASONS))) > 0:
            counts.append(f"{rest:,} for other reasons")
        yield f"  skipped by reason: {'; '.join(counts)}"
        yield from (f"  skipped: {example}" for example in self._examples)
        if self.count > MAX_EXAMPLES:
            yield f"  and {self.count - MAX_EXAMPLES:,} more"


def reason_of(problem: str) -> str:
    """A problem without its place, values and advice, so that equal problems can be counted together."""
    problem = _PLACE.sub("", problem)
    named = re.match(r"field '([^']*)': ", problem)
    start, column = (0, "") if named is None else (named.end(), f"{named.group(1)}: ")
    return column + re.split(r"[:;] |, as ", _VALUE.sub("…", problem[start:]), maxsplit=1)[0].strip()
