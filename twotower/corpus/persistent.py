"""A corpus in a store folder, whose index always matches the item store and is quick to open."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from twotower.corpus.base import Corpus
from twotower.corpus.description import identity
from twotower.corpus.index_files import IndexFiles, StoredDocuments, parts_to_write
from twotower.corpus.stats import Stats, StoreStats
from twotower.errors import StoreError
from twotower.recall.item_index import ItemIndex
from twotower.recall.segment import Labels, Part, Segment
from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.words.item_text import ItemText
from twotower.store.folder import StoreFolder, is_store, lock_folder
from twotower.store.item_store import StoredItem
from twotower.store.sqlite_item_store import State
from twotower.types import Item, Vectors, Where

ROWS_PER_CHECK = 1_000
MIN_SELF_SIMILARITY = 0.99  # of a unit vector with its half-precision copy


class PersistentCorpus(Corpus):
    """See `Corpus`.

    Args:
        store: an open store.
        dim: length of the vectors.
        policy: see `ItemIndex`; None is `IndexPolicy()`.
        text_of: see `Corpus`.

    Raises:
        StoreDamagedError: the item store is damaged.
    """

    def __init__(
        self,
        store: StoreFolder,
        dim: int,
        policy: IndexPolicy | None = None,
        text_of: ItemText | None = None,
    ) -> None:
        self.store = store
        self._files: IndexFiles | None = None  # the current generation
        self._generating = threading.Lock()
        self._encoder = _encoder_of(store)
        documents = partial(StoredDocuments, store.item_store)
        index = ItemIndex(
            dim,
            policy or IndexPolicy(),
            documents=documents,
            merged=self._after_merge,
            scratch=None if store.read_only else store.folder,
        )
        super().__init__(store.item_store, index, text_of)
        with self._committing:
            self._state = self._restore()

    @classmethod
    def of(cls, store: StoreFolder) -> PersistentCorpus:
        """The corpus of a store as its settings describe it."""
        settings = store.item_store.settings
        policy = IndexPolicy.from_description(settings["index"])
        return cls(
            store, settings["dim"], policy, ItemText.of(settings["searchable"], settings["fold_diacritics"])
        )

    def items(self, where: Where | None = None) -> Iterator[Item]:
        """See `Corpus.items`; a snapshot taken when the first item is read."""
        with self._consistent_view() as (connection, snapshot):
            masks = snapshot.allowed(where)
            allowed = set(snapshot.labels(masks).tolist())
            yield from (item for label, item in self.store.item_store.items(connection) if label in allowed)

    @contextmanager
    def rows(self) -> Iterator[tuple[Snapshot, Iterator[StoredItem]]]:
        """See `Corpus.rows`."""
        with self._consistent_view() as (connection, snapshot):
            yield snapshot, self.store.item_store.rows(connection)

    def refresh(self) -> None:
        """Catch up with the writes of another process, or with an interrupted write of this one."""
        with self._committing:
            if self.store.item_store.state() != self._state:
                with self.store.database.view() as connection:
                    self._catch_up(connection)

    def checkpoint(self) -> None:
        """Write the parts of the index that are expensive to build, so that opening the store is quick.

        Raises:
            StoreError: they could not be written, or the store accepts no writes; nothing is lost.
        """
        self._check_writable()
        with self._generating:  # so that an older state is never written after a newer one
            with self._committing:
                self.refresh()
                snapshot, state = self.snapshot, self._state
            parts = parts_to_write(snapshot)
            if parts and (files := IndexFiles.of(parts, state)) != self._files:
                files.write(parts, self.index.queries, self.store.generations)
                self._files = files
            elif not parts:
                self.store.generations.clear()
                self._files = None
        if state.tombstone > state.purged:
            with self._in_step():
                self.store.item_store.purge_tombstones(state.tombstone)
        self.store.database.tidy(whole=True)

    def compact(self) -> None:
        """Drop deleted and replaced rows from the index and from the files.

        Raises:
            StoreError: the files could not be written, or the store accepts no writes; nothing is lost.
        """
        self._check_writable()
        try:
            self.index.compact()
        except StoreError:
            raise
        except OSError as error:  # from the file of vectors that stay on disk
            raise StoreError(
                f"store '{self.store.folder}' could not write its index ({error}); no data is lost: free some space"
            ) from error
        if self.store.generations.problem() is not None:
            self._files = None  # so that they are written again
        self.checkpoint()
        self.store.database.shrink()

    def calibrate(self, queries: Mapping[str, Vectors]) -> None:
        """See `Corpus.calibrate`; a writable store keeps the result.

        Raises:
            StoreError: it could not be written; the index is calibrated all the same.
        """
        super().calibrate(queries)
        if self.store.read_only is None:
            self.checkpoint()

    def problems(self) -> Iterator[str]:
        """The problems of the store, one sentence each; reads every byte.

        Raises:
            StoreDamagedError: the item store cannot be read to the end.
        """
        yield from self.store.problems()
        with self.rows() as (snapshot, rows):
            missing = set(snapshot.labels().tolist())
            while chunk := list(islice(rows, ROWS_PER_CHECK)):
                labels = np.array([each.label for each in chunk], dtype=np.int64)
                missing ^= set(labels.tolist())
                yield from _differences(snapshot, labels, chunk)
        if missing:
            yield f"{len(missing)} items are in only one of index and item store: open the store again"

    def stats(self) -> Stats:
        """See `Corpus.stats`."""
        database = self.store.database
        size = sum(path.stat().st_size for path in self.store.folder.glob(f"{database.path.name}*"))
        store = StoreStats(
            str(self.store.folder),
            size,
            database.page_checksums,
            apsw.sqlite_lib_version(),
            self.store.read_only,
        )
        return Stats.of(self.snapshot, self.store.item_store.count_events(), store)

    def close(self, *, settle: bool = True) -> None:
        """See `Retriever.close`."""
        if self._closed:
            return
        try:
            if settle and self.store.read_only is None:
                self.index.settle()
                self.checkpoint()
        finally:
            super().close()
            self.store.close()

    @contextmanager
    def _consistent_view(self) -> Iterator[tuple[apsw.Connection, Snapshot]]:
        """A view of the item store, and the index at the same state."""
        with ExitStack() as stack:
            with self._committing:
                connection = stack.enter_context(self.store.database.view())
                self._catch_up(connection)
                snapshot = self.snapshot
            yield connection, snapshot

    def _vectors_of(self, snapshot: Snapshot, labels: Sequence[int]) -> Sequence[Vectors]:
        return self.store.item_store.vectors_at(labels)  # exact, while an index may round them

    def _check_writable(self) -> None:
        self._check_open()
        if self.store.read_only is not None:
            raise StoreError(f"store '{self.store.folder}' accepts no writes: {self.store.read_only}")

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """See `Corpus`; it holds even if the write fails."""
        with self._committing:
            self.refresh()
            try:
                yield
            except StoreError:
                with suppress(StoreError):
                    self.refresh()  # the write may have been committed nevertheless
                raise
            self._state = self.store.item_store.state()

    def _catch_up(self, connection: apsw.Connection) -> None:
        item_store = self.store.item_store
        state = item_store.state(connection)
        if state.epoch != self._state.epoch and _encoder_of(self.store) != self._encoder:
            raise StoreError(
                f"store '{self.store.folder}' was encoded again with another model: open it again"
            )
        if state.epoch != self._state.epoch or state.purged > self._state.tombstone:
            self._state = self._restore()
        elif state != self._state:
            deleted = item_store.tombstones(connection, after=self._state.tombstone)
            here = [int(part.segment.labels[-1]) for part in self.snapshot.parts[-1:]]
            self.index.update(deleted, self._segment(connection, after=max([self._state.label, *here])))
            self._state = state

    def _restore(self) -> State:
        """Rebuild the index from the index files and the item store; returns the item store's state."""
        generation = (
            self.store.generations.read()
        )  # before the state, so that the generation is never ahead of it
        item_store = self.store.item_store
        with self.store.database.view() as connection:
            state = item_store.state(connection)
            kept = IndexFiles.read(generation, state, item_store, self.text_of)
            self._files, parts, self.index.queries = (None, [], {}) if kept is None else kept
            if self._files is not None:
                deleted = item_store.tombstones(connection, after=self._files.tombstone)
                parts = [part.without(deleted) for part in parts]
            after = 0 if self._files is None else self._files.label
            parts.append(Part.whole(self._segment(connection, after=after)))
        self.index.replace(parts)
        return state

    def _segment(self, connection: apsw.Connection, *, after: int) -> Segment:
        """All rows with higher labels as one segment."""
        rows = list(self.store.item_store.rows(connection, after=after))
        labels = np.array([each.label for each in rows], dtype=np.int64)
        vectors = [np.zeros((0, self.index.snapshot.dim), dtype=np.float32)]
        vectors += [each.vector[None, :] for each in rows]
        items = [each.item for each in rows]
        return Segment.fresh(labels, items, np.concatenate(vectors), self.text_of)

    def _after_merge(self) -> None:
        if self.store.read_only is None:
            self.checkpoint()


def save_corpus(corpus: Corpus, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write a corpus to a folder; an existing store stays intact until it is replaced atomically.

    Args:
        corpus: to write; it must not change meanwhile.
        folder: a new or empty folder, or a store.
        settings: plain JSON values.

    Raises:
        StoreError: the folder cannot be written, or holds other files.
    """
    corpus.index.settle()  # so that the parts that are expensive to build are written
    lock = lock_folder(folder)
    store = StoreFolder.locked(lock) if is_store(folder) else StoreFolder.create(lock, settings)
    try:
        shift = store.item_store.state().label + 1  # the labels continue those of the folder
        with corpus.rows() as (snapshot, rows):
            moved = (each._replace(label=each.label + shift) for each in rows)
            store.item_store.replace_all(settings, moved, corpus.item_store.events())
        if parts := parts_to_write(snapshot):
            shifted = [
                Part(replace(part.segment, labels=part.segment.labels + shift), part.alive) for part in parts
            ]
            IndexFiles.of(shifted, store.item_store.state()).write(
                shifted, corpus.index.queries, store.generations
            )
        store.database.tidy(whole=True)
    finally:
        store.close()


def _encoder_of(store: StoreFolder) -> tuple[str, int]:
    """What identifies the encoder of the vectors in a store."""
    settings = store.item_store.settings
    return identity(settings["encoder"]), settings["dim"]


def _differences(snapshot: Snapshot, labels: Labels, rows: Sequence[StoredItem]) -> Iterator[str]:
    ordinals = snapshot.ordinals_of(labels)
    vectors = np.stack([each.vector for each in rows])
    here = np.flatnonzero(ordinals >= 0)
    near = np.einsum("nd,nd->n", snapshot.vectors_at(ordinals[here]), vectors[here])
    for place in here[near < MIN_SELF_SIMILARITY]:
        yield f"the index holds a vector of item '{rows[place].item.id}' that is not the item store's: open it again"
