"""The corpus: an item store with items and events, and the index derived from it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from twotower.corpus.photo_content import photo_digest
from twotower.corpus.stats import Stats
from twotower.errors import ClosedError, StaleError, UnknownItemError
from twotower.recall.item_index import ItemIndex
from twotower.recall.segment import Labels, Segment
from twotower.recall.selection import Rows
from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.words.item_text import ItemText
from twotower.store.item_store import Digests, ItemStore, StoredItem
from twotower.store.memory_item_store import MemoryItemStore
from twotower.towers.user import UserHistory
from twotower.types import Event, Item, Vectors, Where

STALE_ATTEMPTS, STALE_SECONDS = 200, 0.005
ITEMS_PER_PAUSE, PAUSE_SECONDS = 8, 0.0001
T = TypeVar("T")


class Corpus:
    """The state that searches read and writes change; a write reaches the item store before a search can see it.

    Searches may run in several threads, alongside each other and alongside a write; writes are serialised.

    Args:
        item_store: the current version of every item, and the events of users.
        index: of those versions.
        text_of: the searchable text of an item.
    """

    def __init__(self, item_store: ItemStore, index: ItemIndex, text_of: ItemText | None = None) -> None:
        self._item_store = item_store
        self._index = index
        self._closed = False
        self.text_of = ItemText() if text_of is None else text_of
        self._searches: set[object] = set()  # one entry for each running search
        self._searched = False  # since the last write
        self._committing = threading.RLock()  # held from the commit of a write until searches see it

    @classmethod
    def in_memory(
        cls, dim: int, policy: IndexPolicy | None = None, text_of: ItemText | None = None
    ) -> Corpus:
        """An empty corpus that lives as long as the process.

        Args:
            dim: length of the vectors.
            policy: for the vector index; None is `IndexPolicy()`.
            text_of: the searchable text of an item; None is `ItemText()`.
        """
        return cls(MemoryItemStore(), ItemIndex(dim, policy or IndexPolicy()), text_of)

    @property
    def item_store(self) -> ItemStore:
        """The current version of every item, and the events of users.

        Raises:
            ClosedError: the corpus was closed; everything that reads or writes it comes through here or `index`.
        """
        self._check_open()
        return self._item_store

    @property
    def index(self) -> ItemIndex:
        """The index of the items.

        Raises:
            ClosedError: the corpus was closed.
        """
        self._check_open()
        return self._index

    @property
    def snapshot(self) -> Snapshot:
        """The state that a search reads from start to end."""
        return self.index.snapshot

    def __len__(self) -> int:
        return self.snapshot.size

    def __contains__(self, item_id: object) -> bool:
        return isinstance(item_id, str) and bool(self.item_store.labels_of([item_id])[0] >= 0)

    def answer(self, search_in: Callable[[Snapshot], T]) -> T:
        """Run a search on one snapshot of the index, and again on a newer one if a write made that snapshot stale.

        Raises:
            StaleError: every snapshot became stale.
        """
        self._searched = True
        search = object()
        self._searches.add(search)
        try:
            for _ in range(STALE_ATTEMPTS):
                try:
                    return search_in(self.snapshot)
                except StaleError:
                    time.sleep(STALE_SECONDS)
                    self.refresh()
            return search_in(self.snapshot)
        finally:
            self._searches.remove(search)

    def yielding_to_searches(self, values: Iterable[T]) -> Iterator[T]:
        """The same values, with short pauses while there are searches.

        Otherwise a search would repeatedly wait several milliseconds for the GIL while another thread runs Python.
        """
        for number, value in enumerate(values):
            if self._searches and number % ITEMS_PER_PAUSE == 0:
                time.sleep(PAUSE_SECONDS)
            yield value

    def items(self, where: Where | None = None) -> Iterator[Item]:
        """Items that pass a filter, ordered by their last writes; see `Retriever.items`."""
        snapshot = self.snapshot
        return snapshot.items(snapshot.allowed(where))

    @contextmanager
    def rows(self) -> Iterator[tuple[Snapshot, Iterator[StoredItem]]]:
        """One state of the corpus: the index, and the items in order of their labels."""
        snapshot = self.snapshot
        labels = snapshot.labels().tolist()
        vectors = (vector for part in snapshot.parts for vector in part.vectors())
        yield snapshot, map(StoredItem, labels, snapshot.items(), vectors, self.item_store.photos_at(labels))

    def get(self, item_id: str) -> Item:
        """The item with this id.

        Raises:
            UnknownItemError: it is not indexed.
        """
        return self.answer(lambda _: self._found(item_id, Snapshot.items_at)[0])

    def vector(self, item_id: str) -> Vectors:
        """The vector of the item with this id, float32 of shape (dim,).

        Raises:
            UnknownItemError: it is not indexed.
        """
        vector: Vectors = self._found(item_id, Snapshot.vectors_at)[0]
        return vector

    def history(self, user: str | None, *, until: datetime, newest: int) -> UserHistory:
        """The events of a user on indexed items, up to and including a moment, with the items' vectors.

        Args:
            user: known or not; None is all users together.
            until: aware.
            newest: the maximum number of events; the newest are kept.
        """
        if user is None:
            events = self.item_store.events_of_all(until=until, newest=newest, stored_items=True)
        else:
            events = self.item_store.events_of(user, until=until, newest=newest, stored_items=True)
        snapshot, _, ordinals = self._locate([event.item for event in events])
        known = np.flatnonzero(ordinals >= 0)
        return UserHistory(
            [events[position] for position in known.tolist()], snapshot.vectors_at(ordinals[known])
        )

    def labels_seen(self, user: str, *, until: datetime) -> Labels:
        """The labels of all items that a user has events on, up to and including a moment, and that are indexed."""
        return self.labels_of(self.item_store.seen_by(user, until=until))

    def labels_of(self, item_ids: Iterable[str]) -> Labels:
        """The labels of those of these ids that are indexed."""
        labels = self.item_store.labels_of(list(item_ids))
        return labels[labels >= 0]

    def vectors_of(self, item_ids: Sequence[str]) -> Vectors:
        """The vectors of m items, float32 of shape (m, dim), zeros for those that are not indexed."""

        def found(_: Snapshot) -> Vectors:
            snapshot, _labels, ordinals = self._locate(item_ids)
            vectors = np.zeros((len(item_ids), snapshot.dim), dtype=np.float32)
            here = np.flatnonzero(ordinals >= 0)
            vectors[here] = snapshot.vectors_at(ordinals[here])
            return vectors

        return self.answer(found)

    def find(self, item_ids: Sequence[str]) -> dict[str, StoredItem]:
        """Those of these items that are indexed, by id."""

        def found(_: Snapshot) -> dict[str, StoredItem]:
            snapshot, labels, ordinals = self._locate(item_ids)
            if not (ordinals >= 0).any():  # as in most deliveries of new items
                return {}
            here = np.flatnonzero(ordinals >= 0)
            known = labels[here].tolist()
            items = snapshot.items_at(ordinals[here])
            photos = self.item_store.photos_at(known)
            stored = map(StoredItem, known, items, self._vectors_of(snapshot, known), photos)
            return {each.item.id: each for each in stored}

        return self.answer(found)

    def photos(self, item_ids: Sequence[str]) -> Digests:
        """The content of the photos that the vectors of these items were made from."""
        digests = self.item_store.photos_at(self.item_store.labels_of(item_ids).tolist())
        return {
            item_id: digest for item_id, digest in zip(item_ids, digests, strict=True) if digest is not None
        }

    def unchanged(self, items: Sequence[Item]) -> NDArray[np.bool_]:
        """Which of n items are indexed exactly as they are, photos compared by content; bool of shape (n,)."""

        def compare(_: Snapshot) -> NDArray[np.bool_]:
            snapshot, labels, ordinals = self._locate([item.id for item in items])
            places = np.flatnonzero(ordinals >= 0)
            known = snapshot.items_at(ordinals[places])
            photos = self.item_store.photos_at(labels[places].tolist())
            same = np.zeros(len(items), dtype=np.bool_)
            for place, item, photo in zip(places.tolist(), known, photos, strict=True):
                same[place] = items[place] == item and photo_digest(items[place].image) == photo
            return same

        return self.answer(compare)

    def upsert(self, items: Sequence[Item], vectors: Vectors, photos: Digests | None = None) -> None:
        """Add items, replacing those with the same ids, atomically.

        Args:
            items: n items with distinct ids.
            vectors: float32 of shape (n, dim), unit rows.
            photos: what the vectors were made from, see `photo_digests`; None for items without photos.
        """
        self._check_open()
        if items:
            with self._in_step():
                labels, deleted = self.item_store.upsert(items, vectors, photos or {})
                self.index.update(deleted, Segment.fresh(labels, items, vectors, self.text_of))
            searched, self._searched = self._searched, False
            self.index.throttle(searched=searched)

    def delete(self, item_ids: Iterable[str]) -> list[str]:
        """Remove those of these items that are indexed, atomically; returns their ids."""
        with self._in_step():
            known, deleted = self.item_store.delete(item_ids)
            if known:
                self.index.update(deleted)
        return known

    def record(self, events: Sequence[Event]) -> int:
        """Store events; returns how many of them were new."""
        with self._in_step():
            return self.item_store.record(events)

    def compact(self) -> None:
        """Drop deleted and replaced rows."""
        self.index.compact()

    def calibrate(self, queries: Mapping[str, Vectors]) -> None:
        """See `ItemIndex.calibrate`."""
        self.index.calibrate(queries)

    def refresh(self) -> None:
        """Catch up with the writes of another process."""
        self._check_open()

    def problems(self) -> Iterator[str]:
        """The problems of the stored data, one sentence each."""
        self._check_open()
        return iter(())

    def stats(self) -> Stats:
        """The sizes of the corpus and its index."""
        return Stats.of(self.snapshot, self.item_store.count_events())

    def close(self, *, settle: bool = True) -> None:
        """See `Retriever.close`."""
        if not self._closed:
            self._index.stop()
            self._item_store.close()
            self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """Wrap a write: the index matches the item store both before it and after it."""
        with self._committing:
            yield

    def _vectors_of(self, snapshot: Snapshot, labels: Sequence[int]) -> Sequence[Vectors]:
        """The vectors of live labels."""
        return list(snapshot.vectors_at(snapshot.ordinals_of(np.array(labels, dtype=np.int64))))

    def _found(self, item_id: str, read: Callable[[Snapshot, Rows], T]) -> T:
        if not isinstance(item_id, str):
            raise UnknownItemError(f"no item with id {item_id!r} is indexed: ids are text")
        snapshot, _, ordinals = self._locate([item_id])
        if ordinals[0] < 0:
            raise UnknownItemError(f"no item with id '{item_id}' is indexed")
        return read(snapshot, ordinals)

    def _locate(self, item_ids: Sequence[str]) -> tuple[Snapshot, Labels, Rows]:
        """A snapshot of the index, and the labels and ordinals of these items in it; -1 for items not indexed."""
        labels = self.item_store.labels_of(item_ids)
        snapshot = self.snapshot
        if not (labels >= 0).any():
            return snapshot, labels, labels
        ordinals = snapshot.ordinals_of(labels)
        if (ordinals[labels >= 0] < 0).any():  # a write happened in between
            with self._committing:
                snapshot = self.snapshot
                labels = self.item_store.labels_of(item_ids)
                ordinals = snapshot.ordinals_of(labels)
        return snapshot, labels, ordinals
