"""A column that is an attribute, and what its values become."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from twotower.ingest.numbers import Decimal, amount, decimals, is_code, number
from twotower.ingest.options import ColumnType, ReadOptions
from twotower.ingest.row import Row
from twotower.ingest.times import is_date_of_unknown_order, moment
from twotower.ingest.values import (
    JSON,
    TIME,
    boolean,
    describe,
    is_marked,
    is_missing_word,
    plain,
)

_LOOSE_BOOLEANS = {
    "yes": True,
    "y": True,
    "t": True,
    "1": True,
    "no": False,
    "n": False,
    "f": False,
    "0": False,
}
_WORDS = {"text": "text", "number": "a number", "boolean": "true or false", "time": "a time"}


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column that is an attribute.

    Args:
        column: its name in the file.
        name: of the attribute.
        type: of its values; None takes them as they are.
        why: where the type comes from, such as "as declared", for errors.
        loose: whether numbers may be written like codes, and booleans as yes and no.
        amounts: whether a currency or "%" may stand beside a number, and separators mean what they can only mean.
        mark: the decimal mark of such numbers; None if none of them tells.
        note: something that the shop should know about it.
    """

    column: str
    name: str
    type: ColumnType | None
    why: str = ""
    loose: bool = True
    amounts: bool = True
    mark: Decimal = None
    note: str = ""

    def value(self, row: Row, value: object, options: ReadOptions) -> Any:
        """A value of this column, converted to its type; None if it is missing.

        Raises:
            CatalogueError: it does not fit.
        """
        value = plain(self._unpacked(row, value))
        if not isinstance(value, list):
            return self._fitted(row, value, options)
        parts = [self._fitted(row, part, options) for part in value]
        return [part for part in parts if part is not None]

    def _unpacked(self, row: Row, value: object) -> object:
        """The value that an export wrote as JSON, because its type differs from that of others."""
        if not (isinstance(value, Mapping) and is_marked(value, JSON)):
            return value
        try:
            return json.loads(value[JSON])
        except (TypeError, ValueError, RecursionError):
            raise row.error(self.column, f"what follows {JSON} is not JSON: export it again") from None

    def _fitted(self, row: Row, value: object, options: ReadOptions) -> object:
        if isinstance(value, date) or is_marked(value, TIME):
            try:
                value = moment(value, options.zone, options.dates)
            except ValueError as error:
                raise row.error(self.column, str(error)) from None
        if value is None or self.type is None or isinstance(value, Mapping | list):
            return value  # an object or a list in a list is refused later
        if self.type == "time" and isinstance(value, date):
            return value
        if isinstance(value, str):
            if self.type == "text":
                return value
            if is_missing_word(value):
                return None
        fit = self._converted(value, options)
        if fit is None:
            raise row.error(
                self.column, f"{describe(value)} is not {_WORDS[self.type]}, {self.why}{self._advice(value)}"
            )
        return fit

    def _converted(self, value: object, options: ReadOptions) -> object:
        """The value in the column's type; None if it cannot be converted without loss."""
        if self.type == "time":
            try:
                return moment(value, options.zone, options.dates)
            except ValueError:
                return None
        if isinstance(value, str):
            if self.type == "number":
                return self._number(value, options) if self.loose or not is_code(value) else None
            truth = boolean(value)
            return _LOOSE_BOOLEANS.get(value.strip().lower()) if truth is None and self.loose else truth
        if isinstance(value, bool):
            return {"boolean": value, "text": str(value).lower()}.get(str(self.type))
        if isinstance(value, int | float):
            if self.type == "text":
                return str(int(value) if value == value // 1 else value)
            return value if self.type == "number" else {0.0: False, 1.0: True}.get(value)
        return None

    def _number(self, text: str, options: ReadOptions) -> int | float | None:
        if not self.amounts:
            return number(text, options.decimal)
        found = amount(text, options.decimal or self.mark)
        return None if found is None else found.value

    def _advice(self, value: object) -> str:
        if self.type == "time" and isinstance(value, str) and is_date_of_unknown_order(value):
            return ": declare dates day-first or month-first"
        if self.type != "number" or not isinstance(value, str):
            return f": repair it, or declare types {self.name}=text"
        if is_code(value):
            return f"; it looks like a code: declare types {self.name}=text or {self.name}=number"
        mark = {".,": "a point or a comma", ".": "a point", ",": "a comma"}.get(decimals(value))
        return f": repair it, declare types {self.name}=text{f', or set decimal to {mark}' if mark else ''}"
