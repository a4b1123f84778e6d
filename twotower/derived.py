"""The part of an index that a store keeps in files, because it would take long to build again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from twotower.recall.columns import Columns
from twotower.recall.postings import LexicalIndex
from twotower.recall.segment import Labels, Part, Segment
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import GraphIndex, read_index
from twotower.store.files import Sink, Write
from twotower.store.generations import Generation, Generations
from twotower.store.stored import State, StoredCatalog
from twotower.types import Item

ARRAYS = ("labels", "days", "alive")


@dataclass(frozen=True, slots=True)
class StoredDocuments:
    """The items of a segment in a catalog, read when they are needed."""

    catalog: StoredCatalog
    labels: Labels

    def at(self, rows: Sequence[int]) -> list[Item]:
        """See `Documents.at`."""
        return self.catalog.items_at(self.labels[list(rows)].tolist())

    def known(self, rows: Sequence[int]) -> Sequence[Item | None]:
        """See `Documents.known`."""
        labels = self.labels[list(rows)].tolist()
        items = self.catalog.items_among(labels)
        return [items.get(label) for label in labels]


@dataclass(frozen=True, slots=True)
class Derived:
    """What a generation was derived from.

    Args:
        epoch: see `State`.
        label: it holds the rows up to this label.
        death: of which those that died up to this death are dead.
        parts: how many parts it has.
    """

    epoch: str
    label: int
    death: int
    parts: int

    @classmethod
    def of(cls, parts: Sequence[Part], state: State) -> Derived:
        """Of the oldest parts of an index in a state."""
        return cls(state.epoch, int(parts[-1].segment.labels[-1]), state.death, len(parts))

    @classmethod
    def read(cls, generation: Generation | None, state: State) -> Derived | None:
        """Of a generation; None if there is none, or if it is of another state than one that led to this."""
        if generation is None:
            return None
        derived = cls(**generation.about)
        led_here = derived.epoch == state.epoch and state.forgotten <= derived.death <= state.death
        return derived if led_here else None

    def write(self, parts: Sequence[Part], generations: Generations) -> None:
        """Write the parts as a generation."""
        contents: dict[str, Write] = {}
        for number, part in enumerate(parts):
            contents |= _files(part, number)
        generations.write(contents, asdict(self))

    def read_parts(self, generation: Generation, catalog: StoredCatalog) -> list[Part]:
        """The parts as they were written; items are read from the catalog."""
        return [_part(generation, number, catalog) for number in range(self.parts)]


def worth_writing(snapshot: Snapshot) -> Sequence[Part]:
    """The parts that take long to build, and those before them, so that one label tells which rows they hold."""
    graphs = [
        number for number, part in enumerate(snapshot.parts) if isinstance(part.segment.index, GraphIndex)
    ]
    return snapshot.parts[: graphs[-1] + 1] if graphs else ()


def _files(part: Part, number: int) -> dict[str, Write]:
    segment = part.segment
    files: dict[str, Write] = {f"{number}.faiss": lambda sink: segment.index.write(sink.write)}
    for name, array in zip(ARRAYS, (segment.labels, segment.days, part.alive.mask), strict=True):
        files[f"{number}.{name}.npy"] = partial(_write_array, array)
    return files


def _write_array(array: NDArray[np.generic], sink: Sink) -> None:
    np.lib.format.write_array(sink, array, allow_pickle=False)


def _part(generation: Generation, number: int, catalog: StoredCatalog) -> Part:
    folder = generation.folder
    labels, days, alive = (np.load(folder / f"{number}.{name}.npy", allow_pickle=False) for name in ARRAYS)
    documents = StoredDocuments(catalog, labels)
    columns = Columns(len(labels), documents.known)
    lexical = LexicalIndex(len(labels), documents.known)
    index = read_index(folder / f"{number}.faiss")
    return Part(Segment(labels, documents, index, days, columns, lexical), Selection(alive))
