"""Rows to be written in any format: plain JSON values, and a survey of their attributes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from twotower.types import Item

FieldType: TypeAlias = Literal["text", "time", "number"]
Shape: TypeAlias = Literal[
    "single", "list", "text", "boolean", "time", "fraction", "whole", "long", "endless"
]
"""What a value is: single or a list, and its kind; whole numbers by the bits that they need: 53, 63 or more."""
Shapes: TypeAlias = Mapping[str, frozenset[Shape]]
"""By attribute, what its values and the elements of its lists are."""

ITEM_FIELDS: Mapping[str, FieldType] = {
    "id": "text",
    "title": "text",
    "text": "text",
    "image": "text",
    "time": "time",
}
EVENT_FIELDS: Mapping[str, FieldType] = {
    "user": "text",
    "item": "text",
    "kind": "text",
    "time": "time",
    "value": "number",
    "event_id": "text",
}


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows to be written.

    Args:
        fields: the columns that all rows may have, and their types.
        rows: by field, and "attributes" by name; empty ones are left out. See `twotower.store.records`.
        shapes: surveys all attributes first, for formats with columns.
    """

    fields: Mapping[str, FieldType]
    rows: Iterable[Mapping[str, Any]]
    shapes: Callable[[], Shapes] = dict


def shapes_of(items: Iterable[Item]) -> Shapes:
    """What the values of each attribute are, in the order in which the attributes first occur."""
    found: defaultdict[str, set[Shape]] = defaultdict(set)
    for item in items:
        for name, value in item.attributes.items():
            parts = value if isinstance(value, list) else [value]
            found[name].add("list" if parts is value else "single")
            found[name].update(map(_shape, parts))
    return {name: frozenset(shapes) for name, shapes in found.items()}


def _shape(value: object) -> Shape:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "whole" if abs(value) <= 2**53 else "long" if -(2**63) <= value < 2**63 else "endless"
    if isinstance(value, float):
        return "fraction"
    return "text" if isinstance(value, str) else "time"
