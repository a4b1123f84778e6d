"""Encoding items with the item tower, in chunks and with a progress bar, as far as their vectors are not known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twotower.corpus.base import Corpus
from twotower.errors import EncoderError, ItemError
from twotower.store.item_store import Digests
from twotower.towers.unit import unit_rows, unusable_rows
from twotower.types import BadItem, Encoder, Item, Vectors

CHUNK = 256  # items encoded at a time: the step of the progress bar, and a bound on memory


class EncodedItems(NamedTuple):
    """Items that can be written.

    Args:
        items: n items.
        vectors: float32 of shape (n, dim), rows of unit length.
        photos: what the vectors were made from.
    """

    items: Sequence[Item]
    vectors: Vectors
    photos: Digests


@dataclass(frozen=True, slots=True)
class ItemEncoding:
    """How the items of one write are encoded.

    Args:
        encoder: the item tower.
        corpus: of the vectors that are known, and of the text that is read.
        skipped: collects each item that the encoder refuses, with the reason; None raises at the first.
        without_photo: collects each item whose photo the encoder refuses and that is encoded by its words alone; None
            does not encode it.
        progress: show a progress bar; None shows one on a terminal.
    """

    encoder: Encoder
    corpus: Corpus
    skipped: list[BadItem] | None = None
    without_photo: list[BadItem] | None = None
    progress: bool | None = None

    def encode(self, items: Sequence[Item], photos: Digests) -> EncodedItems:
        """Encode validated items; an item that is made from the same as before keeps its vector.

        Args:
            items: with distinct ids.
            photos: the content of their photos; see `photo_digests`.

        Returns:
            The items that have a vector, in the same order.

        Raises:
            ItemError: the encoder refuses an item, and `skipped` is None or the error does not name the item.
            EncoderError: the encoder returned something other than finite vectors.
        """
        found = {item.id: (item, vector) for item, vector in self._known(items, photos)}
        fresh = [item for item in items if item.id not in found]
        # tqdm: None hides the bar unless on a terminal
        hidden = None if self.progress is None and fresh else not (self.progress and fresh)
        with tqdm(total=len(fresh), desc="encode", unit="item", disable=hidden, leave=False) as bar:
            for start in range(0, len(fresh), CHUNK):
                chunk = fresh[start : start + CHUNK]
                encoded, vectors = self._encode_chunk(chunk)
                found |= {item.id: (item, vector) for item, vector in zip(encoded, vectors, strict=True)}
                bar.update(len(chunk))
        pairs = [found[item.id] for item in items if item.id in found]
        rows = np.zeros((len(pairs), self.encoder.dim), dtype=np.float32)
        for row, (_, vector) in enumerate(pairs):
            rows[row] = vector
        used = {item.id: photos[item.id] for item, _ in pairs if item.image is not None and item.id in photos}
        return EncodedItems([item for item, _ in pairs], rows, used)

    def _known(self, items: Sequence[Item], photos: Digests) -> Iterator[tuple[Item, Vectors]]:
        """The items that are made from the same as before, and their vectors."""
        before = self.corpus.find([item.id for item in items])
        for item in items:
            stored = before.get(item.id)
            if (
                stored is not None
                and stored.photo == photos.get(item.id)
                and self._encoded(stored.item) == self._encoded(item)
            ):
                yield item, stored.vector

    def _encoded(self, item: Item) -> tuple[str, str, bool]:
        """What is encoded of an item besides the content of its photo."""
        extended = self.corpus.text_of.extended(item)
        return extended.title, extended.text, extended.image is not None

    def _encode_chunk(self, chunk: Sequence[Item]) -> tuple[Sequence[Item], Vectors]:
        items, raw = self._accepted(chunk)
        rows = np.asarray(raw)
        if rows.shape == (len(items), self.encoder.dim) and (unusable := unusable_rows(rows)):
            reasons = {
                items[row].id: f"encode_items returned {what}: check that input"
                for row, what in unusable.items()
            }
            if self.skipped is None:
                item_id, reason = next(iter(reasons.items()))
                raise EncoderError(f"item '{item_id}' cannot be indexed: {reason}")
            self._skip(reasons)
            good = [row for row in range(len(items)) if row not in unusable]
            items, rows = [items[row] for row in good], rows[good]
        return items, unit_rows(rows, rows=len(items), dim=self.encoder.dim, source="encode_items")

    def _accepted(self, chunk: Sequence[Item]) -> tuple[Sequence[Item], NDArray[np.float32]]:
        """The items that the encoder accepts, and what it returns for them."""
        try:
            return chunk, self._call(chunk)
        except ItemError as error:
            chunk, reasons = self._without_bad_photos(chunk, error.reasons)
            if (reasons and self.skipped is None) or not error.reasons:
                raise
            self._skip(reasons)
            good = [item for item in chunk if item.id not in reasons]
            return good, self._call(good)

    def _without_bad_photos(
        self, chunk: Sequence[Item], reasons: dict[str, str]
    ) -> tuple[Sequence[Item], dict[str, str]]:
        """The chunk without the photos of those items that the encoder then accepts, and the reasons that remain."""
        if self.without_photo is None:
            return chunk, reasons
        stripped = {
            item.id: replace(item, image=None)
            for item in chunk
            if item.id in reasons and item.image is not None and item.words
        }
        try:
            self._call(list(stripped.values()))
        except ItemError as error:
            stripped = {item_id: item for item_id, item in stripped.items() if item_id not in error.reasons}
        self.without_photo.extend(BadItem(item_id, reasons[item_id]) for item_id in stripped)
        rest = {item_id: reason for item_id, reason in reasons.items() if item_id not in stripped}
        return [stripped.get(item.id, item) for item in chunk], rest

    def _call(self, items: Sequence[Item]) -> NDArray[np.float32]:
        return self.encoder.encode_items([self.corpus.text_of.extended(item) for item in items])

    def _skip(self, reasons: dict[str, str]) -> None:
        assert self.skipped is not None
        self.skipped.extend(BadItem(item_id, reason) for item_id, reason in reasons.items())
