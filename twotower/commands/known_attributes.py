"""The attributes of a store and their types, which the columns of the next catalogue must match."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from twotower.ingest.options import ColumnType
from twotower.recall.filters.columns import kind_and_key
from twotower.recall.words.item_text import ItemText
from twotower.store.folder import StoreFolder, is_store
from twotower.types import Item

Known: TypeAlias = Mapping[str, ColumnType | None]
"""The types of attributes by name; None for one that has several or none yet."""


def known_attributes(store: Path, searchable: Sequence[str] | None) -> tuple[Known, Collection[str]]:
    """The attributes of a store, without loading its models.

    Args:
        store: a store, or a new or empty folder.
        searchable: see `ItemText.of`; None is the default, or those of the store.

    Returns:
        The types of its attributes, and the names of its searchable ones.

    Raises:
        StoreError: the store cannot be read.
    """
    if not is_store(store):
        names = ItemText.of(searchable).attributes
        return dict.fromkeys(names), names
    with closing(StoreFolder.open(store, read_only=True)) as folder, folder.database.view() as connection:
        names = tuple(folder.item_store.settings["searchable"])
        return dict.fromkeys(names) | types_of(item for _, item in folder.item_store.items(connection)), names


def types_of(items: Iterable[Item]) -> dict[str, ColumnType | None]:
    """The types of the items' attributes; None for an attribute of several types."""
    found: dict[str, ColumnType | None] = {}
    for item in items:
        for name, value in item.attributes.items():
            for part in value if isinstance(value, list) else [value]:
                if (pair := kind_and_key(part)) is not None and found.setdefault(name, pair[0]) != pair[0]:
                    found[name] = None
    return found
