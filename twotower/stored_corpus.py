"""A corpus in a store folder: its index is equal to the catalog, and is quick to open."""

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

from twotower.corpus import Corpus
from twotower.derived import Derived, StoredDocuments, worth_writing
from twotower.errors import StoreError
from twotower.recall.item_index import ItemIndex
from twotower.recall.segment import Labels, Part, Segment
from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.policy import IndexPolicy
from twotower.stats import Stats, StoreStats
from twotower.store.folder import Store, is_store
from twotower.store.stored import Row, State
from twotower.types import Item, Vectors, Where

AT_ONCE = 1_000
SAME = 0.99  # least inner product of a unit vector with itself in half precision


class StoredCorpus(Corpus):
    """See `Corpus`.

    Args:
        store: open.
        dim: length of the vectors.
        policy: see `ItemIndex`.

    Raises:
        StoreDamagedError: the catalog is damaged.
    """

    def __init__(self, store: Store, dim: int, policy: IndexPolicy) -> None:
        self.store = store
        self._derived: Derived | None = None  # the current generation
        self._generating = threading.Lock()
        documents = partial(StoredDocuments, store.catalog)
        index = ItemIndex(
            dim,
            policy,
            documents=documents,
            merged=self._after_merge,
            scratch=None if store.read_only else store.folder,
        )
        super().__init__(store.catalog, index)
        with self._committing:
            self._state = self._restore()

    def items(self, where: Where | None = None) -> Iterator[Item]:
        """See `Corpus.items`; reads the state of the moment in which the first item is asked for."""
        with self._seen() as (connection, snapshot):
            masks = snapshot.allowed(where)
            allowed = set(snapshot.labels(masks).tolist())
            yield from (item for label, item in self.store.catalog.items(connection) if label in allowed)

    @contextmanager
    def rows(self) -> Iterator[tuple[Snapshot, Iterator[Row]]]:
        """See `Corpus.rows`."""
        with self._seen() as (connection, snapshot):
            yield snapshot, self.store.catalog.rows(connection)

    def refresh(self) -> None:
        """Catch up with what another process wrote, or with a write of this one that was interrupted."""
        with self._committing:
            if self.store.catalog.state() != self._state:
                with self.store.database.view() as connection:
                    self._catch_up(connection)

    def checkpoint(self) -> None:
        """Write the parts of the index that take long to build, so that opening the store is quick.

        Raises:
            StoreError: they could not be written, or the store takes no writes; nothing is lost.
        """
        self._check_writable()
        with self._generating:  # from the state on: an older one must not be written after a newer one
            with self._committing:
                self.refresh()
                snapshot, state = self.snapshot, self._state
            parts = worth_writing(snapshot)
            if parts and (derived := Derived.of(parts, state)) != self._derived:
                derived.write(parts, self.index.queries, self.store.generations)
                self._derived = derived
        if state.death > state.forgotten:
            with self._in_step():
                self.store.catalog.forget_deaths(state.death)
        self.store.database.tidy(whole=True)

    def compact(self) -> None:
        """Drop what was deleted and replaced from the index and from the files.

        Raises:
            StoreError: the files could not be written, or the store takes no writes; nothing is lost.
        """
        self._check_writable()
        try:
            self.index.compact()
        except StoreError:
            raise
        except OSError as error:  # of the vectors that stay on the disk
            raise StoreError(
                f"store '{self.store.folder}' could not write its index ({error}); no data is lost, free some space"
            ) from error
        self.checkpoint()
        self.store.database.shrink()

    def calibrate(self, queries: Mapping[str, Vectors]) -> None:
        """See `Corpus.calibrate`; a store that takes writes remembers it.

        Raises:
            StoreError: it could not be written; the index is calibrated all the same.
        """
        super().calibrate(queries)
        if self.store.read_only is None:
            self.checkpoint()

    def problems(self) -> Iterator[str]:
        """What is wrong with the store, one sentence each; every byte of it is read.

        Raises:
            StoreDamagedError: the catalog cannot be read through.
        """
        yield from self.store.problems()
        with self.rows() as (snapshot, rows):
            missing = set(snapshot.labels().tolist())
            while some := list(islice(rows, AT_ONCE)):
                labels = np.array([label for label, _, _ in some], dtype=np.int64)
                missing ^= set(labels.tolist())
                yield from _differences(snapshot, labels, some)
        if missing:
            yield f"{len(missing)} items are in only one of index and catalog: open the store again"

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
        return Stats.of(self.snapshot, store)

    def close(self, *, settle: bool = True) -> None:
        """See `Retriever.close`."""
        try:
            if settle and self.store.read_only is None:
                self.index.settle()
                self.checkpoint()
        finally:
            super().close()
            self.store.close()

    @contextmanager
    def _seen(self) -> Iterator[tuple[apsw.Connection, Snapshot]]:
        """A view of the catalog, and the index of the same state."""
        with ExitStack() as stack:
            with self._committing:
                connection = stack.enter_context(self.store.database.view())
                self._catch_up(connection)
                snapshot = self.snapshot
            yield connection, snapshot

    def _check_writable(self) -> None:
        if self.store.read_only is not None:
            raise StoreError(f"store '{self.store.folder}' takes no writes: {self.store.read_only}")

    @contextmanager
    def _in_step(self) -> Iterator[None]:
        """See `Corpus`; however the write ends."""
        with self._committing:
            self.refresh()
            try:
                yield
            except StoreError:
                with suppress(StoreError):
                    self.refresh()  # the catalog may hold it all the same
                raise
            self._state = self.store.catalog.state()

    def _catch_up(self, connection: apsw.Connection) -> None:
        catalog = self.store.catalog
        state = catalog.state(connection)
        if state.epoch != self._state.epoch or state.forgotten > self._state.death:
            self._state = self._restore()
        elif state != self._state:
            dead = catalog.deaths(connection, after=self._state.death)
            here = [int(part.segment.labels[-1]) for part in self.snapshot.parts[-1:]]
            self.index.update(dead, self._segment(connection, after=max([self._state.label, *here])))
            self._state = state

    def _restore(self) -> State:
        """Let the index be what the catalog says; returns the catalog's state."""
        generation = self.store.generations.read()  # before the state: a generation may not be ahead of it
        catalog = self.store.catalog
        with self.store.database.view() as connection:
            state = catalog.state(connection)
            kept = Derived.read(generation, state, catalog)
            self._derived, parts, self.index.queries = (None, [], {}) if kept is None else kept
            if self._derived is not None:
                dead = catalog.deaths(connection, after=self._derived.death)
                parts = [part.without(dead) for part in parts]
            after = 0 if self._derived is None else self._derived.label
            parts.append(Part.whole(self._segment(connection, after=after)))
        self.index.replace(parts)
        return state

    def _segment(self, connection: apsw.Connection, *, after: int) -> Segment:
        """All rows after a label as one segment."""
        rows = list(self.store.catalog.rows(connection, after=after))
        labels = np.array([label for label, _, _ in rows], dtype=np.int64)
        vectors = [np.zeros((0, self.index.snapshot.dim), dtype=np.float32)]
        vectors += [vector[None, :] for _, _, vector in rows]
        return Segment.fresh(labels, [item for _, item, _ in rows], np.concatenate(vectors))

    def _after_merge(self) -> None:
        if self.store.read_only is None:
            self.checkpoint()


def save_corpus(corpus: Corpus, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write a corpus to a folder; a store that was there stays whole until it is replaced in one step.

    Args:
        corpus: nobody writes to it meanwhile.
        folder: a new or empty folder, or a store.
        settings: plain JSON values.

    Raises:
        StoreError: it cannot be written, or holds something else.
    """
    corpus.index.settle()  # so that what takes long to build is among what is written
    store = Store.open(folder) if is_store(folder) else Store.create(folder, settings)
    try:
        shift = store.catalog.state().label + 1  # labels of the folder go on where they were
        with corpus.rows() as (snapshot, rows):
            moved = ((label + shift, item, vector) for label, item, vector in rows)
            store.catalog.replace_all(settings, moved, corpus.catalog.events())
        if parts := worth_writing(snapshot):
            shifted = [
                Part(replace(part.segment, labels=part.segment.labels + shift), part.alive) for part in parts
            ]
            Derived.of(shifted, store.catalog.state()).write(shifted, corpus.index.queries, store.generations)
        store.database.tidy(whole=True)
    finally:
        store.close()


def _differences(snapshot: Snapshot, labels: Labels, rows: Sequence[Row]) -> Iterator[str]:
    ordinals = snapshot.ordinals_of(labels)
    vectors = np.stack([vector for _, _, vector in rows])
    here = np.flatnonzero(ordinals >= 0)
    near = np.einsum("nd,nd->n", snapshot.vectors_at(ordinals[here]), vectors[here])
    for place in here[near < SAME]:
        yield f"the index holds another vector for item '{rows[place][1].id}' than the catalog: open the store again"
