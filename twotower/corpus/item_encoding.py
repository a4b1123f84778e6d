"""Encoding items with the item tower, in chunks and with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from twotower.corpus.item_text import ItemText
from twotower.errors import ItemError
from twotower.towers.unit import unit_rows
from twotower.types import BadItem, Encoder, Item, Vectors

CHUNK = 256  # items encoded at a time: the step of the progress bar, and a bound on memory


def encode_items(
    encoder: Encoder,
    items: Sequence[Item],
    bad: list[BadItem] | None,
    *,
    text_of: ItemText,
    progress: bool | None,
) -> tuple[list[Item], Vectors]:
    """Encode validated items.

    Args:
        encoder: the item tower.
        items: n items.
        bad: collects each item that the encoder refuses, with the reason; None raises at the first.
        text_of: adds searchable attributes to the description.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        The m items that were encoded and their vectors, float32 of shape (m, dim), rows of unit length.

    Raises:
        ItemError: the encoder refuses an item, and `bad` is None or the error does not name the item.
        EncoderError: the encoder returned something other than finite vectors.
    """
    kept: list[Item] = []
    vectors = [np.zeros((0, encoder.dim), dtype=np.float32)]
    hidden = None if progress is None else not progress  # tqdm: None hides the bar unless on a terminal
    with tqdm(total=len(items), desc="encode", unit="item", disable=hidden, leave=False) as bar:
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            good, rows = _encode_chunk(encoder, chunk, bad, text_of)
            vectors.append(unit_rows(rows, rows=len(good), dim=encoder.dim, source="encode_items"))
            kept += good
            bar.update(len(chunk))
    return kept, np.concatenate(vectors)


def _encode_chunk(
    encoder: Encoder, chunk: Sequence[Item], bad: list[BadItem] | None, text_of: ItemText
) -> tuple[Sequence[Item], NDArray[np.float32]]:
    try:
        return chunk, encoder.encode_items([text_of.extended(item) for item in chunk])
    except ItemError as error:
        if bad is None or not error.reasons:
            raise
        bad += [BadItem(item_id, reason) for item_id, reason in error.reasons.items()]
        good = [item for item in chunk if item.id not in error.reasons]
        return good, encoder.encode_items([text_of.extended(item) for item in good])
