"""Encoding items with the item tower, in chunks and with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twotower.errors import EncoderError, ItemError
from twotower.recall.vectors.unit_vectors import usable_rows
from twotower.recall.words.item_text import ItemText
from twotower.types import BadItem, Encoder, Item, Vectors

CHUNK = 256  # items encoded at a time: the step of the progress bar, and a bound on memory


@dataclass(frozen=True, slots=True)
class ItemEncoding:
    """How items are encoded, and what becomes of those that cannot be.

    Args:
        encoder: the item tower.
        text_of: adds searchable attributes to the description.
        skipped: collects each item that the encoder refuses, with the reason; None raises at the first.
        without_photo: collects each item whose photo the encoder refuses and that is encoded by its words alone; None
            does not encode it.
        progress: show a progress bar; None shows one on a terminal.
    """

    encoder: Encoder
    text_of: ItemText
    skipped: list[BadItem] | None = None
    without_photo: list[BadItem] | None = None
    progress: bool | None = None

    def encode(self, items: Sequence[Item]) -> tuple[list[Item], Vectors]:
        """Encode validated items.

        Args:
            items: with distinct ids.

        Returns:
            The m items that were encoded, those with an unusable photo without it, and their vectors, float32 of
            shape (m, dim), rows of unit length.

        Raises:
            ItemError: the encoder refuses an item, and `skipped` is None or the error does not name the item.
            EncoderError: the encoder returned something other than finite vectors.
        """
        kept: list[Item] = []
        vectors = [np.zeros((0, self.encoder.dim), dtype=np.float32)]
        # tqdm: None hides the bar unless on a terminal
        hidden = None if self.progress is None and items else not (self.progress and items)
        with tqdm(total=len(items), desc="encode", unit="item", disable=hidden, leave=False) as bar:
            for start in range(0, len(items), CHUNK):
                chunk = items[start : start + CHUNK]
                good, rows = self._encode_chunk(chunk)
                kept += good
                vectors.append(rows)
                bar.update(len(chunk))
        return kept, np.concatenate(vectors)

    def _encode_chunk(self, chunk: Sequence[Item]) -> tuple[Sequence[Item], Vectors]:
        items, raw = self._accepted(chunk)
        rows, unusable = usable_rows(raw, rows=len(items), dim=self.encoder.dim, source="encode_items")
        if unusable:
            reasons = {
                items[row].id: f"encode_items returned {what}: check that input"
                for row, what in unusable.items()
            }
            if self.skipped is None:
                item_id, reason = next(iter(reasons.items()))
                raise EncoderError(f"item '{item_id}' cannot be indexed: {reason}")
            self._skip(reasons)
            items = [item for item in items if item.id not in reasons]
        return items, rows

    def _accepted(self, chunk: Sequence[Item]) -> tuple[Sequence[Item], NDArray[np.float32]]:
        """The items that the encoder accepts, and what it returns for them."""
        try:
            return chunk, self._call(chunk)
        except ItemError as error:
            chunk, reasons = self._without_bad_photos(chunk, error.reasons)
            if not error.reasons:
                raise
            if not reasons:
                return chunk, self._call(chunk)
            if self.skipped is None:
                item_id, reason = next(iter(reasons.items()))
                raise ItemError(f"item '{item_id}' cannot be indexed: {reason}", reasons) from error
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
        return self.encoder.encode_items([self.text_of.extended(item) for item in items])

    def _skip(self, reasons: dict[str, str]) -> None:
        assert self.skipped is not None
        self.skipped.extend(BadItem(item_id, reason) for item_id, reason in reasons.items())
