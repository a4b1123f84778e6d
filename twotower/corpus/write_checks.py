"""Validation before a write: bad items and events are refused, or skipped and reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from twotower.corpus.base import Corpus
from twotower.errors import EventError, ItemError
from twotower.ingest.validate import check_event, check_item
from twotower.types import BadItem, Event, Item


def check_items(items: Iterable[Item], bad: list[BadItem] | None) -> list[Item]:
    """Validate items and copy the good ones, so that the caller may change a mapping of attributes afterwards.

    Args:
        items: to validate.
        bad: collects each bad item with the reason; None raises at the first.

    Raises:
        ItemError: an item cannot be indexed, or an id is repeated, and `bad` is None.
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
    """Validate events.

    Raises:
        EventError: an event cannot be recorded.
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
