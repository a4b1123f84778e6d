"""A cache of the items that were read last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from cachetools import LRUCache

from twotower.types import Item


class ItemCache:
    """A least-recently-used cache of items by label. The item of a label never changes, so no entry is ever stale.

    Args:
        size: how many items are cached.
    """

    def __init__(self, size: int = 20_000) -> None:
        self._items: LRUCache[int, Item] = LRUCache(size)
        self._lock = Lock()  # reads reorder the cache, too

    def find(self, labels: Sequence[int]) -> dict[int, Item]:
        """Those of these labels that are cached."""
        with self._lock:
            return {label: self._items[label] for label in labels if label in self._items}

    def add(self, items: Mapping[int, Item]) -> None:
        """Cache items by label."""
        with self._lock:
            self._items.update(items)
