"""What happens before anything is written: every item and event is checked, items are encoded in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from twotower.corpus import Corpus
from twotower.errors import EventError, ItemError
from twotower.ingest.validate import check_event, check_item
from twotower.recall.vectors.unit import unit_rows
from twotower.types import BadItem, Encoder, Event, Item, Vectors

CHUNK = 256  # items encoded at a time: what a progress bar moves by, and what is held in memory


def check_items(items: Iterable[Item], bad: list[BadItem] | None) -> list[Item]:
    """Copy the good items, so that the caller may change a mapping of attributes afterwards.

    Args:
        items: any number.
        bad: gets each bad item with its reason; None raises at the first.

    Raises:
        ItemError: an item cannot be indexed, or an id comes twice (where `bad` is None).
    """
    good: dict[str, Item] = {}
    for item in items:
        try:
            check_item(item)
            if item.id in good:
                raise ItemError(f"item '{item.id}' comes twice in one call: keep one of the two")
        except ItemError as error:
            if bad is None:
                raise
            bad.append(BadItem(str(item.id), str(error)))
        else:
            good[item.id] = replace(item, attributes=dict(item.attributes))
    return list(good.values())


def check_events(events: Iterable[Event], corpus: Corpus) -> list[Event]:
    """The events, all of which can be recorded.

    Raises:
        EventError: one of them cannot be.
    """
    checked = list(events)
    for position, event in enumerate(checked):
        check_event(event, position)
    labels = corpus.catalog.labels_of([event.item for event in checked])
    if (labels < 0).any():
        position = int(np.argmin(labels))
        raise EventError(
            f"event {position} names item '{checked[position].item}', which is not indexed: upsert it first"
        )
    return checked


def encode_items(
    encoder: Encoder, items: Sequence[Item], bad: list[BadItem] | None, *, progress: bool | None
) -> tuple[list[Item], Vectors]:
    """Encode checked items.

    Args:
        encoder: the item tower.
        items: n items.
        bad: gets each item that the encoder refuses, with its reason; None raises at the first.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        The m items that were encoded and their vectors, float32 of shape (m, dim), rows of unit length.

    Raises:
        ItemError: the encoder refuses an item (where `bad` is None, or it does not say which).
        EncoderError: the encoder gave something else than finite vectors.
    """
    kept: list[Item] = []
    vectors = [np.zeros((0, encoder.dim), dtype=np.float32)]
    hidden = None if progress is None else not progress  # tqdm: None hides the bar unless on a terminal
    with tqdm(total=len(items), desc="encode", unit="item", disable=hidden, leave=False) as bar:
        for start in range(0, len(items), CHUNK):
            chunk = items[start : start + CHUNK]
            good, rows = _encode_chunk(encoder, chunk, bad)
            vectors.append(unit_rows(rows, rows=len(good), dim=encoder.dim, source="encode_items"))
            kept += good
            bar.update(len(chunk))
    return kept, np.concatenate(vectors)


def _encode_chunk(
    encoder: Encoder, chunk: Sequence[Item], bad: list[BadItem] | None
) -> tuple[Sequence[Item], Vectors]:
    try:
        return chunk, encoder.encode_items(chunk)
    except ItemError as error:
        if bad is None or not error.reasons:
            raise
        bad += [BadItem(item_id, reason) for item_id, reason in error.reasons.items()]
        good = [item for item in chunk if item.id not in error.reasons]
        return good, encoder.encode_items(good)
