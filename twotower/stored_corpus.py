"""A corpus in a store folder: its index is equal to the catalog, and is quick to open."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from twotower.corpus import Corpus
from twotower.errors import StoreError
from twotower.recall.item_index import ItemIndex
from twotower.recall.segment import Labels, Part, Segment, days_of
from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import GraphIndex, build_index, read_index
from twotower.stats import Stats, StoreStats
from twotower.store.files import Sink, Write
from twotower.store.folder import Store, is_store
from twotower.store.generations import Generation, Generations
from twotower.store.stored import Row, State, StoredCatalog
from twotower.types import Event, Item, Vectors, Where

AT_ONCE = 1_000
GONE = Item("")
SAME = 0.99  # least inner product of a unit vector with itself in half precision

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredDocuments:
    """The items of a segment in a catalog, read when they are needed."""

    catalog: StoredCatalog
    labels: Labels

    def at(self, rows: Sequence[int]) -> list[Item]:
        """See `Documents.at`."""
        return self.catalog.items_at(self.labels[list(rows)].tolist())

    def for_columns(self, rows: Sequence[int]) -> list[Item]:
        """See `Documents.for_columns`."""
        labels = self.labels[list(rows)].tolist()
        found = self.catalog.find_items(labels)
        return [found.get(label, GONE) for label in labels]


class StoredCorpus(Corpus):
    """See `Corpus`.

    Args:
        store: open.
        dim: length of the vectors.
        graph_above: see `ItemIndex`.

    Raises:
        StoreDamagedError: the catalog is damaged.
    """

    def __init__(self, store: Store, dim: int, *, graph_above: int) -> None:
        self.store = store
        self._dim = dim
        self._graph_above = graph_above
        self._derived: _Derived | None = None
        self._state, index = self._restored()
        super().__init__(store.catalog, index)

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

    def upsert(self, items: Sequence[Item], vectors: Vectors) -> None:
        """See `Corpus.upsert`."""
        with self._in_step():
            super().upsert(items, vectors)

    def delete(self, item_ids: Iterable[str]) -> list[str]:
        """See `Corpus.delete`."""
        with self._in_step():
            return super().delete(item_ids)

    def record(self, events: Sequence[Event]) -> None:
        """See `Corpus.record`."""
        with self._in_step():
            super().record(events)

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
        with self._committing:
            self.refresh()
            snapshot, state = self.snapshot, self._state
        parts = _worth_writing(snapshot)
        if parts and (derived := _Derived.of(parts, state)) != self._derived:
            derived.write(parts, self.store.generations)
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
        with self._committing:
            self.index.compact()
        self.checkpoint()
        self.store.database.shrink()

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

    def close(self) -> None:
        """Write what makes opening quick, where something changed, and let go of the folder."""
        try:
            if self.store.read_only is None:
                self.checkpoint()
        finally:
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
        """Around a write: the index is of the catalog's state before and after it, however it ends."""
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
        if state == self._state:
            return
        if state.epoch == self._state.epoch and state.forgotten <= self._state.death:
            dead = catalog.deaths(connection, after=self._state.death)
            here = [int(part.segment.labels[-1]) for part in self.index.snapshot.parts[-1:]]
            self.index.update(dead, self._segment(connection, after=max([self._state.label, *here])))
            self._state = state
        else:
            self._state, fresh = self._restored()
            self.index.replace(fresh.snapshot)

    def _restored(self) -> tuple[State, ItemIndex]:
        """The catalog's state and an index of it."""
        generation = self.store.generations.read()  # before the state: a generation may not be ahead of it
        catalog = self.store.catalog
        with self.store.database.view() as connection:
            state = catalog.state(connection)
            parts, label, death = self._parts(generation, state)
            index = ItemIndex(
                self._dim,
                graph_above=self._graph_above,
                parts=parts,
                documents=partial(StoredDocuments, catalog),
            )
            dead = catalog.deaths(connection, after=death) if parts else np.zeros(0, dtype=np.int64)
            index.update(dead, self._segment(connection, after=label))
        return state, index

    def _parts(self, generation: Generation | None, state: State) -> tuple[list[Part], int, int]:
        """What a generation gives to start with, and the label and the death that it goes to."""
        if generation is None:
            return [], 0, 0
        try:
            derived = _Derived(**generation.about)
        except TypeError:  # another version's
            return [], 0, 0
        if derived.epoch != state.epoch or not state.forgotten <= derived.death <= state.death:
            logger.info("store '%s': derived files are of another state and made again", self.store.folder)
            return [], 0, 0
        try:
            parts = [self._read(generation.folder, number) for number in range(derived.parts)]
        except (OSError, RuntimeError, ValueError) as error:  # FAISS reports a missing file as a RuntimeError
            logger.info("store '%s': derived files are made again (%s)", self.store.folder, error)
            return [], 0, 0
        self._derived = derived
        return parts, derived.label, derived.death

    def _read(self, folder: Path, number: int) -> Part:
        labels, days, alive = (
            np.load(folder / f"{number}.{name}.npy", allow_pickle=False)
            for name in ("labels", "days", "alive")
        )
        index = read_index(folder / f"{number}.faiss")
        return Part(Segment.of(labels, StoredDocuments(self.store.catalog, labels), index, days), alive)

    def _segment(self, connection: apsw.Connection, *, after: int) -> Segment:
        """All rows after a label as one segment."""
        labels: list[int] = []
        items: list[Item] = []
        vectors: list[Vectors] = []
        for label, item, vector in self.store.catalog.rows(connection, after=after):
            labels.append(label)
            items.append(item)
            vectors.append(vector)
        numbers = np.array(labels, dtype=np.int64)
        table = np.stack(vectors) if vectors else np.zeros((0, self._dim), dtype=np.float32)
        if len(labels) <= self._graph_above:
            return Segment.build(numbers, items, table, graph_above=self._graph_above)
        index = build_index(table, graph_above=self._graph_above)
        return Segment.of(numbers, StoredDocuments(self.store.catalog, numbers), index, days_of(items))


def save_corpus(corpus: Corpus, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write a corpus to a folder; a store that was there stays whole until it is replaced in one step.

    Args:
        corpus: nobody writes to it meanwhile.
        folder: a new or empty folder, or a store.
        settings: plain JSON values.

    Raises:
        StoreError: it cannot be written, or holds something else.
    """
    store = Store.open(folder) if is_store(folder) else Store.create(folder, settings)
    try:
        shift = store.catalog.state().label + 1  # labels of the folder go on where they were
        with corpus.rows() as (snapshot, rows):
            moved = ((label + shift, item, vector) for label, item, vector in rows)
            store.catalog.replace_all(settings, moved, corpus.catalog.events())
        if parts := _worth_writing(snapshot):
            shifted = [
                Part(replace(part.segment, labels=part.segment.labels + shift), part.alive) for part in parts
            ]
            _Derived.of(shifted, store.catalog.state()).write(shifted, store.generations)
        store.database.tidy(whole=True)
    finally:
        store.close()


@dataclass(frozen=True, slots=True)
class _Derived:
    """What a generation was derived from.

    Args:
        epoch: see `State`.
        label: it holds the rows up to this label.
        death: of which those that died up to this death are dead.
        parts: how many parts it has.
        rows: how many rows those have, dead ones included.
    """

    epoch: str
    label: int
    death: int
    parts: int
    rows: int

    @classmethod
    def of(cls, parts: Sequence[Part], state: State) -> _Derived:
        """Of the oldest parts of an index in a state."""
        rows = sum(len(part.segment) for part in parts)
        return cls(state.epoch, int(parts[-1].segment.labels[-1]), state.death, len(parts), rows)

    def write(self, parts: Sequence[Part], generations: Generations) -> None:
        """Write the parts as a generation."""
        contents: dict[str, Write] = {}
        for number, part in enumerate(parts):
            contents |= _files(part, number)
        generations.write(contents, asdict(self))


def _worth_writing(snapshot: Snapshot) -> Sequence[Part]:
    """The parts that take long to build, and those before them, so that one label tells which rows they hold."""
    graphs = [
        number for number, part in enumerate(snapshot.parts) if isinstance(part.segment.index, GraphIndex)
    ]
    return snapshot.parts[: graphs[-1] + 1] if graphs else ()


def _differences(snapshot: Snapshot, labels: Labels, rows: Sequence[Row]) -> Iterator[str]:
    ordinals = snapshot.ordinals_of(labels)
    vectors = np.stack([vector for _, _, vector in rows])
    here = np.flatnonzero(ordinals >= 0)
    near = np.einsum("nd,nd->n", snapshot.vectors_at(ordinals[here]), vectors[here])
    for place in here[near < SAME]:
        yield f"the index holds another vector for item '{rows[place][1].id}' than the catalog: open the store again"


def _files(part: Part, number: int) -> dict[str, Write]:
    segment = part.segment
    return {
        f"{number}.faiss": lambda sink: segment.index.write(sink.write),
        f"{number}.labels.npy": partial(_write_array, segment.labels),
        f"{number}.days.npy": partial(_write_array, segment.days),
        f"{number}.alive.npy": partial(_write_array, part.alive),
    }


def _write_array(array: NDArray[np.generic], sink: Sink) -> None:
    np.lib.format.write_array(sink, array, allow_pickle=False)
