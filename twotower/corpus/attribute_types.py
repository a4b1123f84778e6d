"""The types of the items' attributes, which later items in files and mappings must match."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from twotower.ingest.options import ColumnType
from twotower.recall.filters.columns import kind_and_key
from twotower.types import Item

AttributeTypes: TypeAlias = Mapping[str, ColumnType | None]
"""The types of attributes by name; None for one that has several or none yet."""


def types_of(items: Iterable[Item], known: AttributeTypes | None = None) -> dict[str, ColumnType | None]:
    """The types of the items' attributes.

    Args:
        items: valid ones.
        known: the types of other items' attributes, to which these are added.
    """
    found = dict(known or {})
    for item in items:
        for name, value in item.attributes.items():
            for part in value if isinstance(value, list) else [value]:
                if (pair := kind_and_key(part)) is not None and found.setdefault(name, pair[0]) != pair[0]:
                    found[name] = None
    return found
