"""The operand of a comparison, converted to the attribute's type where that loses nothing."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Set
from datetime import datetime
from typing import Any, TypeAlias

from twotower.errors import FilterError
from twotower.recall.filters.columns import EPOCH, Kind, kind_and_key

Operand: TypeAlias = tuple[Kind, Any]
"""The kind of a value and its key: see `kind_and_key`."""

NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,300})(\.[0-9]{1,300})?")
SINGULAR: dict[Kind, str] = {
    "text": "text",
    "number": "a number",
    "boolean": "True or False",
    "time": "an aware datetime",
}
PLURAL: dict[Kind, str] = {"text": "text", "number": "numbers", "boolean": "booleans", "time": "times"}


def fitted(name: str, operand: Operand, kinds: Set[Kind]) -> Operand:
    """Convert an operand to the one kind that an attribute's values have.

    Text that is a number, "true", "false" or a time with its zone means that; 0 and 1 mean False and True.

    Args:
        name: of the attribute.
        operand: to convert.
        kinds: of the attribute's values; empty if no item has the attribute.

    Raises:
        FilterError: none of the values can be compared with the operand.
    """
    kind, key = operand
    if not kinds or kind in kinds:
        return operand
    if len(kinds) == 1:
        (wanted,) = kinds
        converted = _converted(kind, key, wanted)
        if converted is not None:
            return converted
    held = " and ".join(PLURAL[each] for each in sorted(kinds))
    given = " or ".join(SINGULAR[each] for each in sorted(kinds))
    raise FilterError(
        f"filter on {name!r}: its values are {held} and do not compare with {_shown(kind, key)}: pass {given}"
    )


def _converted(kind: Kind, key: Any, wanted: Kind) -> Operand | None:
    """The operand as another kind; None if it has no exact value of that kind."""
    match kind, wanted:
        case "number", "boolean":
            return ("boolean", bool(key)) if key in (0, 1) else None
        case "text", "boolean":
            truth = {"true": True, "false": False}.get(key.casefold())
            return None if truth is None else ("boolean", truth)
        case "text", "number":
            number = json.loads(key) if NUMBER.fullmatch(key) else math.inf
            return ("number", number) if abs(number) < math.inf else None
        case "text", "time":
            return _time(key)
    return None


def _time(text: str) -> Operand | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if moment.utcoffset() is None else kind_and_key(moment)


def _shown(kind: Kind, key: Any) -> str:
    if kind == "time":
        return f"the time {(EPOCH + key).isoformat()}"
    return f"the {kind} {key!r}"
