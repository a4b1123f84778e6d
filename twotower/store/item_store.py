"""The source of truth: items, the current version of each id, and the events of users.

A label numbers one version of one item. Labels only grow and are never reused, so everything that is derived from
items (vectors in an index, columns of attributes) can state by a label what it was derived from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.types import Event, Item, Vectors

Labels: TypeAlias = NDArray[np.int64]
Digests: TypeAlias = Mapping[str, bytes]
"""By item id, the SHA-256 of its photo's content; items without a photo have none."""


class StoredItem(NamedTuple):
    """One item as it is stored.

    Args:
        label: of this version.
        item: itself.
        vector: float32 of shape (dim,).
        photo: SHA-256 of the content of the photo that the vector was made from; None without a photo.
    """

    label: int
    item: Item
    vector: Vectors
    photo: bytes | None


class ItemStore(Protocol):
    """Keeps the items and events that an index is derived from."""

    def upsert(self, items: Sequence[Item], vectors: Vectors, photos: Digests) -> tuple[Labels, Labels]:
        """Store items, replacing those with the same ids.

        Args:
            items: n items with distinct ids.
            vectors: float32 of shape (n, dim).
            photos: what their vectors were made from.

        Returns:
            The labels of the n items, and the labels of the versions that they replace.
        """
        ...

    def delete(self, item_ids: Iterable[str]) -> tuple[list[str], Labels]:
        """Delete items.

        Returns:
            The ids that were present, each once, and their labels.
        """
        ...

    def record(self, events: Sequence[Event]) -> int:
        """Store the events whose keys (see `event_key`) are new; returns how many those are."""
        ...

    def labels_of(self, item_ids: Sequence[str]) -> Labels:
        """The current label of each of m ids, shape (m,); -1 for unknown ids."""
        ...

    def photos_at(self, labels: Sequence[int]) -> list[bytes | None]:
        """The digests of the photos that the items with these labels were made from; None without a photo."""
        ...

    def events_of(
        self, user: str, *, until: datetime, newest: int, stored_items: bool = False
    ) -> Sequence[Event]:
        """A user's last events up to and including a moment, oldest first.

        Args:
            user: anyone, known or not.
            until: aware.
            newest: how many at most.
            stored_items: only events on items that are stored now.
        """
        ...

    def seen_by(self, user: str, *, until: datetime) -> set[str]:
        """The ids of all items that a user has events on, up to and including a moment."""
        ...

    def events_of_all(self, *, until: datetime, newest: int, stored_items: bool = False) -> Sequence[Event]:
        """Everybody's last events up to and including a moment, oldest first; see `events_of`."""
        ...

    def events(self) -> Iterator[Event]:
        """All events."""
        ...

    def events_since(self, number: int) -> tuple[int, list[Event]]:
        """The events that were recorded after the one with a number, in that order, and the number of the last.

        Args:
            number: as returned by an earlier call; 0 for all events.
        """
        ...

    def count_events(self) -> int:
        """How many events there are."""
        ...

    def close(self) -> None:
        """Close all files; the store cannot be used afterwards."""
        ...
