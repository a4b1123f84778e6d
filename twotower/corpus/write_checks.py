"""Checks before anything is written: bad items and events are refused, or left out and reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from twotower.corpus.base import Corpus
from twotower.errors import EventError, ItemError
from twotower.ingest.validate import check_event, check_item
from twotower.types import BadItem, Event, Item


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
    labels = corpus.item_store.labels_of([event.item for event in checked])
    if (labels < 0).any():
        position = int(np.argmin(labels))
        raise EventError(
            f"event {position} names item '{checked[position].item}', which is not indexed: upsert it first"
        )
    return checked
