"""Encode all items of a store again with another encoder, while readers go on with the old vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twotower.corpus.description import OWN, Description, identity
from twotower.corpus.item_encoding import ItemEncoding
from twotower.corpus.photo_content import photo_digests
from twotower.errors import ItemError
from twotower.recall.words.item_text import ItemText
from twotower.store.folder import StoreFolder
from twotower.store.item_store import StoredItem
from twotower.types import BadItem, Encoder

ITEMS_PER_WRITE = 1_000  # an interruption loses the work on at most this many


def reindex_items(
    store: StoreFolder, encoder: Encoder, settings: Mapping[str, Any], *, progress: bool | None = None
) -> int:
    """Encode all items of a store and then replace all vectors at once.

    After an interruption the same call resumes where that one stopped, if the encoder describes itself.

    Args:
        store: open for writing.
        encoder: the new one.
        settings: of the store, with the new encoder.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        How many items were encoded now.

    Raises:
        ItemError: an item cannot be encoded; the others are kept for the next attempt, and the old vectors stay.
    """
    item_store, text_of = store.item_store, ItemText.of(settings["searchable"])
    item_store.begin_encoding(_target(settings["encoder"]))
    bad: list[BadItem] = []
    encoding = ItemEncoding(encoder, text_of, bad, progress=progress)
    encoded = last = 0
    while found := item_store.not_encoded(after=last, count=ITEMS_PER_WRITE):
        last = found[-1][0]
        labels = {item.id: label for label, item in found}
        items = [item for _, item in found]
        photos = photo_digests(items)
        good, vectors = encoding.encode(items)
        item_store.add_encoded(
            [
                StoredItem(labels[item.id], item, vector, photos.get(item.id))
                for item, vector in zip(good, vectors, strict=True)
            ]
        )
        encoded += len(good)
    if bad:
        raise ItemError(
            f"{len(bad):,} items cannot be encoded again, first '{bad[0].id}' ({bad[0].reason}): repair or delete "
            "them and try again, which resumes with the rest",
            {each.id: each.reason for each in bad},
        )
    item_store.finish_encoding(settings)
    store.database.tidy(whole=True)
    return encoded


def _target(description: Description) -> str | None:
    """What identifies an encoder; None for one that does not describe itself."""
    return None if description == OWN else identity(description)
