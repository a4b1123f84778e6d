"""An item whose encoded content has not changed keeps its vector: a price update encodes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from twotower.corpus.base import Corpus
from twotower.corpus.item_encoding import ItemEncoding
from twotower.store.item_store import Digests
from twotower.types import Item, Vectors


class EncodedItems(NamedTuple):
    """Items that can be written.

    Args:
        items: n items.
        vectors: float32 of shape (n, dim), rows of unit length.
        photos: digests of the photos that were encoded; see `photo_digests`.
    """

    items: Sequence[Item]
    vectors: Vectors
    photos: Digests


def encode_changed(
    corpus: Corpus, encoding: ItemEncoding, items: Sequence[Item], photos: Digests
) -> EncodedItems:
    """Encode validated items, except those whose vectors the corpus has.

    Args:
        corpus: of the items as they were before.
        encoding: of the others.
        items: with distinct ids.
        photos: the content of their photos; see `photo_digests`.

    Returns:
        The items that have a vector, in the same order.

    Raises:
        ItemError: as `ItemEncoding.encode`.
        EncoderError: likewise.
    """
    found = {item.id: (item, vector) for item, vector in _known(corpus, items, photos)}
    encoded = encoding.encode([item for item in items if item.id not in found])
    found |= {item.id: (item, vector) for item, vector in zip(*encoded, strict=True)}
    pairs = [found[item.id] for item in items if item.id in found]
    vectors = np.zeros((len(pairs), encoding.encoder.dim), dtype=np.float32)
    for row, (_, vector) in enumerate(pairs):
        vectors[row] = vector
    used = {item.id: photos[item.id] for item, _ in pairs if item.image is not None and item.id in photos}
    return EncodedItems([item for item, _ in pairs], vectors, used)


def _known(corpus: Corpus, items: Sequence[Item], photos: Digests) -> Iterator[tuple[Item, Vectors]]:
    """The items whose encoded content has not changed, and their vectors."""
    before = corpus.find([item.id for item in items])
    for item in items:
        stored = before.get(item.id)
        if (
            stored is not None
            and stored.photo == photos.get(item.id)
            and (stored.item.image is None) == (item.image is None)
            and corpus.text_of.is_same(stored.item, item)
        ):
            yield item, stored.vector
