"""The attributes of a store and their types, which the columns of the next catalogue must match."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from twotower.corpus.attribute_types import AttributeTypes, types_of
from twotower.recall.words.item_text import ItemText
from twotower.store.folder import StoreFolder, is_store


def known_attributes(store: Path, searchable: Sequence[str] | None) -> tuple[AttributeTypes, Collection[str]]:
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
