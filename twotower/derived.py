"""The part of an index that a store keeps in files, because it would take long to build again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from twotower.recall.packing import Packed, pack_columns, pack_lexical, unpack_columns, unpack_lexical
from twotower.recall.postings import LexicalIndex
from twotower.recall.segment import Labels, Part, Segment
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import GraphIndex, read_index
from twotower.store.files import Sink, Write
from twotower.store.generations import Generation, Generations
from twotower.store.stored import State, StoredCatalog
from twotower.types import Item

logger = logging.getLogger(__name__)


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
        items = self.catalog.find_items(labels)
        return [items.get(label) for label in labels]


@dataclass(frozen=True, slots=True)
class Derived:
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
    def of(cls, parts: Sequence[Part], state: State) -> Derived:
        """Of the oldest parts of an index in a state."""
        rows = sum(len(part.segment) for part in parts)
        return cls(state.epoch, int(parts[-1].segment.labels[-1]), state.death, len(parts), rows)

    @classmethod
    def read(
        cls, generation: Generation | None, state: State, catalog: StoredCatalog
    ) -> tuple[Derived, list[Part]] | None:
        """A generation and its parts; items are read from the catalog.

        Returns:
            None if there is no generation, if it is of another state than one that led to this, or if it cannot be
            read any more.
        """
        if generation is None:
            return None
        try:
            derived = cls(**generation.about)
            led_here = derived.label <= state.label and state.forgotten <= derived.death <= state.death
            if not led_here or derived.epoch != state.epoch:
                logger.info("'%s' is of another state and made again", generation.folder)
                return None
            return derived, [_part(generation, number, catalog) for number in range(derived.parts)]
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            # Another version's, or removed meanwhile: FAISS reports a missing file as a RuntimeError.
            logger.info("'%s' cannot be read and is made again (%s)", generation.folder, error)
            return None

    def write(self, parts: Sequence[Part], generations: Generations) -> None:
        """Write the parts as a generation."""
        contents: dict[str, Write] = {}
        for number, part in enumerate(parts):
            contents |= _files(part, number)
        generations.write(contents, asdict(self))


def worth_writing(snapshot: Snapshot) -> Sequence[Part]:
    """The parts that take long to build, and those before them, so that one label tells which rows they hold."""
    graphs = [
        number for number, part in enumerate(snapshot.parts) if isinstance(part.segment.index, GraphIndex)
    ]
    return snapshot.parts[: graphs[-1] + 1] if graphs else ()


def _files(part: Part, number: int) -> dict[str, Write]:
    segment = part.segment
    files: dict[str, Write] = {f"{number}.faiss": lambda sink: segment.index.write(sink.write)}
    rows = Packed(None, {"labels": segment.labels, "days": segment.days, "alive": part.alive.mask})
    packed = {
        "rows": rows,
        "columns": pack_columns(segment.columns),
        "lexical": pack_lexical(segment.lexical),
    }
    for name, each in packed.items():
        if each is not None:
            files[f"{number}.{name}.safetensors"] = partial(_write_arrays, each.arrays)
            files[f"{number}.{name}.json"] = partial(_write_values, each.values)
    return files


def _write_arrays(arrays: Mapping[str, NDArray[Any]], sink: Sink) -> None:
    sink.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _write_values(values: Any, sink: Sink) -> None:
    sink.write(json.dumps(values, ensure_ascii=False, allow_nan=False).encode())


def _part(generation: Generation, number: int, catalog: StoredCatalog) -> Part:
    rows = _packed(generation, number, "rows")
    labels = rows.arrays["labels"]
    documents = StoredDocuments(catalog, labels)
    columns = unpack_columns(_packed(generation, number, "columns"), len(labels), documents.known)
    lexical = LexicalIndex(len(labels), documents.known)
    if (generation.folder / f"{number}.lexical.json").exists():
        lexical = unpack_lexical(_packed(generation, number, "lexical"), len(labels), documents.known)
    index = read_index(generation.folder / f"{number}.faiss")
    segment = Segment(labels, documents, index, rows.arrays["days"], columns, lexical)
    return Part(segment, Selection(rows.arrays["alive"]))


def _packed(generation: Generation, number: int, name: str) -> Packed:
    values = json.loads((generation.folder / f"{number}.{name}.json").read_bytes())
    return Packed(values, load_file(generation.folder / f"{number}.{name}.safetensors"))
