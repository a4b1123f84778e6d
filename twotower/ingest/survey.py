"""What the values of every column look like: the first of two passes over a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Literal, TypeAlias

from twotower.ingest.numbers import Decimal, amount, decimals, is_code, looks_numeric, number
from twotower.ingest.options import ColumnType
from twotower.ingest.row import Row
from twotower.ingest.values import (
    JSON,
    LITERAL,
    TIME,
    boolean,
    is_marked,
    is_missing_word,
    plain,
)

Shape: TypeAlias = Literal[
    "missing",
    "boolean",
    "decimal",
    "whole",
    "code",
    "almost number",
    "text",
    "number",
    "time",
    "json",
    "other",
]
"""What a value looks like; a "code" is a whole number in a form that only codes have, such as "007".

"json" is a value in a column of several types, as `twotower export` writes it.
"""

MOST = 2 / 3  # of a column's values: this share decides its type
RARE = 0.05  # of a column's numbers: a larger share that look like codes, or have fractions, is no accident
MAX_COLUMNS = 10_000  # no type is inferred for further ones, as in a file with a key for every row
_SAMPLE = 100  # values kept per column
_LONGEST_NUMBER = 40  # characters; anything longer is text


@dataclass(slots=True)
class Tally:
    """How many values of a column look like a number, a time and so on.

    Args:
        typed: whether the format has types: then text is meant as text.
        decimal: see `ReadOptions`.
        mixes: whether a column may mix words and numbers, as specifications in nested objects do.
        counts: of values by their shape.
        lengths: of whole numbers and codes, by whether they are codes.
        sample: the first values.
        missing_words: words that stand for a missing value, each with the place of the first.
        units: how many values of text have which currency or "%" beside them.
        marks: how many values of text need which decimal mark; ".," if either would do, for different numbers.
        ambiguous: the first value that is a different number by either decimal mark.
    """

    typed: bool
    decimal: Decimal = None
    mixes: bool = False
    counts: Counter[Shape] = field(default_factory=Counter)
    lengths: tuple[Counter[int], Counter[int]] = field(default_factory=lambda: (Counter(), Counter()))
    sample: list[object] = field(default_factory=list)
    missing_words: dict[str, str] = field(default_factory=dict)
    units: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    ambiguous: str = ""

    def add(self, value: object, place: str) -> None:
        """Count a value that is not missing."""
        if isinstance(value, list):
            self.counts.update("text" if isinstance(part, str) else _shape_of(part) for part in value)
            return
        shape = (
            _shape_of_text(value, self.typed, self.decimal) if isinstance(value, str) else _shape_of(value)
        )
        self.counts[shape] += 1
        if isinstance(value, str) and shape in ("decimal", "almost number"):
            self._add_notation(value)
        if shape in ("whole", "code"):
            text = str(value).strip()
            self.lengths[shape == "code"][min(len(text), 40)] += 1
        elif shape == "missing" and len(self.missing_words) < _SAMPLE:
            self.missing_words.setdefault(str(value), place)
        if len(self.sample) < _SAMPLE:
            self.sample.append(value[:_LONGEST_NUMBER] if isinstance(value, str) else value)

    def _add_notation(self, text: str) -> None:
        mark = decimals(text)
        self.marks[mark] += 1
        if mark == ".,":
            self.ambiguous = self.ambiguous or text.strip()
        if (found := amount(text, ".") or amount(text, ",")) is not None and found.unit:
            self.units[found.unit] += 1

    @property
    def mark(self) -> Decimal:
        """The decimal mark that is declared, or that most numbers need; None if none needs one."""
        if self.decimal is not None:
            return self.decimal
        dots, commas = self.marks["."], self.marks[","]
        return None if dots == commas else "." if dots > commas else ","

    @property
    def are_amounts(self) -> bool:
        """Whether the values are numbers beside one currency or "%", and only one reading of them is possible."""
        certain = self.mark is not None or not self.ambiguous
        return (
            not self.typed and certain and len(self.units) == 1 and self.units.total() >= MOST * self.filled
        )

    def only(self) -> ColumnType | None:
        """The type that all values have, other than text; None if there is none."""
        shapes: dict[Shape, ColumnType] = {"number": "number", "boolean": "boolean", "time": "time"}
        return shapes.get(next(iter(self.counts))) if len(self.counts) == 1 else None

    @property
    def filled(self) -> int:
        """How many values there are, without words for missing ones."""
        return self.counts.total() - self.counts["missing"]

    @property
    def numbers(self) -> int:
        """How many values are numbers."""
        return sum(self.counts[shape] for shape in ("number", "decimal", "whole", "code"))

    @property
    def are_codes(self) -> bool:
        """Whether the numbers are codes: some are written as only codes would be, and hardly any has a fraction."""
        codes = self.counts["code"]
        if self.allows_codes or not codes:
            return False
        usual_length = (self.lengths[0] + self.lengths[1]).most_common(1)[0][0]
        return codes > RARE * self.numbers or usual_length in self.lengths[1]

    @property
    def allows_codes(self) -> bool:
        """Whether a number may be written like a code, because the column has fractions: "007.50"."""
        return self.counts["decimal"] > RARE * self.numbers

    def inferred(self) -> ColumnType | None:
        """The type of the column; None if there is none that most values have."""
        filled, counts = self.filled, self.counts
        if not filled:
            return None
        enough = filled if self.mixes else MOST * filled
        if counts["boolean"] >= enough:
            return "boolean"
        if counts["time"] >= enough:
            return "time"
        if self.are_amounts:
            return "number"
        almost = self.numbers >= filled / 2 and self.numbers + counts["almost number"] >= enough
        if not self.are_codes and (self.numbers >= enough or almost):
            return "number"
        texts = counts["text"] + counts["almost number"]
        if self.typed and not self.mixes and counts["time"] and counts["time"] >= texts:
            return "time"  # which text can be, but which cannot be text
        if not self.typed or texts == filled or (texts and not self.mixes):
            return "text"  # which most values can become
        if self.mixes:
            return None
        known: dict[ColumnType, int] = {
            "number": self.numbers,
            "boolean": counts["boolean"],
            "time": counts["time"],
        }
        usual = max(known, key=lambda name: known[name])
        return usual if known[usual] else None


def survey(rows: Iterable[Row], decimal: Decimal = None) -> dict[str, Tally]:
    """Read rows once and tally the values of each column, in the order in which the columns first occur."""
    tallies: dict[str, Tally] = {}
    for row in rows:
        for name, value in row.values.items():
            tally = tallies.get(name)
            if tally is None:
                if len(tallies) >= MAX_COLUMNS:
                    continue
                typed = row.typed or name.startswith(LITERAL)
                tally = tallies[name] = Tally(typed, decimal, mixes=typed and "." in name)
            if (value := plain(value)) is not None:
                tally.add(value, row.place)
    return tallies


def _shape_of_text(text: str, typed: bool, decimal: Decimal) -> Shape:
    """What text looks like; of a format with types it is never a number."""
    return "text" if len(text) > _LONGEST_NUMBER else _shape_of_short_text(text, typed, decimal)


@lru_cache(maxsize=1 << 16)
def _shape_of_short_text(text: str, typed: bool, decimal: Decimal) -> Shape:
    if is_missing_word(text):
        return "missing"
    if typed:
        return "almost number" if looks_numeric(text) else "text"
    if is_code(text):
        return "code"
    if number(text, decimal) is not None:
        return "whole" if text.strip().lstrip("+-").isdigit() else "decimal"
    if boolean(text) is not None:
        return "boolean"
    return "almost number" if looks_numeric(text) else "text"


def _shape_of(value: object) -> Shape:
    """What a value that is not text looks like."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if is_marked(value, JSON):
        return "json"
    return "time" if isinstance(value, date) or is_marked(value, TIME) else "other"
