"""An item store that lives as long as the process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import numpy as np

from twotower.store.history import History
from twotower.store.item_store import Digests, Labels
from twotower.types import Event, Item, Vectors


class MemoryItemStore:
    """The current label of every id, and the events; the items themselves are kept by the index."""

    def __init__(self) -> None:
        self._labels: dict[str, int] = {}
        self._photos: dict[int, bytes] = {}  # by label
        self._next = 0
        self._history = History()

    def upsert(self, items: Sequence[Item], vectors: Vectors, photos: Digests) -> tuple[Labels, Labels]:
        """See `ItemStore.upsert`."""
        ids = [item.id for item in items]
        replaced = [self._labels[item_id] for item_id in ids if item_id in self._labels]
        labels = range(self._next, self._next + len(ids))
        self._forget(replaced)
        self._photos.update(
            (label, photos[item_id]) for label, item_id in zip(labels, ids, strict=True) if item_id in photos
        )
        self._labels.update(zip(ids, labels, strict=True))
        self._next += len(ids)
        return np.array(labels, dtype=np.int64), np.array(replaced, dtype=np.int64)

    def delete(self, item_ids: Iterable[str]) -> tuple[list[str], Labels]:
        """See `ItemStore.delete`."""
        known = [item_id for item_id in dict.fromkeys(item_ids) if item_id in self._labels]
        labels = [self._labels.pop(item_id) for item_id in known]
        self._forget(labels)
        return known, np.array(labels, dtype=np.int64)

    def record(self, events: Sequence[Event]) -> int:
        """See `ItemStore.record`."""
        return self._history.record(events)

    def labels_of(self, item_ids: Sequence[str]) -> Labels:
        """See `ItemStore.labels_of`."""
        return np.array([self._labels.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    def photos_at(self, labels: Sequence[int]) -> list[bytes | None]:
        """See `ItemStore.photos_at`."""
        return [self._photos.get(label) for label in labels]

    def events_of(
        self, user: str, *, until: datetime, newest: int, stored_items: bool = False
    ) -> Sequence[Event]:
        """See `ItemStore.events_of`."""
        items = self._labels if stored_items else None
        return self._history.of(user, until=until, newest=newest, items=items)

    def events_of_all(self, *, until: datetime, newest: int, stored_items: bool = False) -> Sequence[Event]:
        """See `ItemStore.events_of_all`."""
        return self._history.of_all(until=until, newest=newest, items=self._labels if stored_items else None)

    def seen_by(self, user: str, *, until: datetime) -> set[str]:
        """See `ItemStore.seen_by`."""
        return self._history.seen_by(user, until=until)

    def events(self) -> Iterator[Event]:
        """See `ItemStore.events`."""
        return iter(self._history)

    def events_since(self, number: int) -> tuple[int, list[Event]]:
        """See `ItemStore.events_since`."""
        return self._history.since(number)

    def count_events(self) -> int:
        """See `ItemStore.count_events`."""
        return len(self._history)

    def close(self) -> None:
        """See `ItemStore.close`."""

    def _forget(self, labels: Iterable[int]) -> None:
        for label in labels:
            self._photos.pop(label, None)
