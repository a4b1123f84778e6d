"""The index files of a store: the part of its index that is expensive to rebuild, and the manifest."""

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

from twotower.recall.merging import is_exact
from twotower.recall.packing import Packed, pack_columns, pack_lexical, unpack_columns, unpack_lexical
from twotower.recall.segment import Labels, Part, Segment
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.builder import read_index
from twotower.recall.vectors.calibration import Calibration
from twotower.recall.vectors.compressed import CompressedIndex
from twotower.recall.vectors.index import Kind
from twotower.recall.words.item_text import ItemText
from twotower.store.files import Sink, Write
from twotower.store.generations import Generation, Generations
from twotower.store.sqlite_item_store import SqliteItemStore, State
from twotower.types import Item, Vectors

QUERIES = "queries.safetensors"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredDocuments:
    """The items of a segment, read from an item store on demand."""

    item_store: SqliteItemStore
    labels: Labels

    def at(self, rows: Sequence[int]) -> list[Item]:
        """See `Documents.at`."""
        return self.item_store.items_at(self.labels[list(rows)].tolist())

    def known(self, rows: Sequence[int]) -> Sequence[Item | None]:
        """See `Documents.known`."""
        labels = self.labels[list(rows)].tolist()
        items = self.item_store.find_items(labels)
        return [items.get(label) for label in labels]


@dataclass(frozen=True, slots=True)
class SegmentIndexRecord:
    """The manifest entry for the vector index of one segment.

    Args:
        kind: see `Choice`.
        calibration: its description; None if the index was not calibrated.
    """

    kind: Kind
    calibration: Mapping[str, Any] | None

    @classmethod
    def of(cls, part: Part) -> SegmentIndexRecord:
        """The entry for a part."""
        index = part.segment.index
        return cls(index.kind, None if index.calibration is None else index.calibration.describe())


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """The manifest of the index files of a generation: what they were built from.

    Args:
        epoch: see `State`.
        label: the newest label; the files hold the rows up to it.
        tombstone: the newest tombstone that the files reflect.
        rows: the number of rows, deleted ones included.
        indexes: one entry per part.
    """

    epoch: str
    label: int
    tombstone: int
    rows: int
    indexes: tuple[SegmentIndexRecord, ...]

    @classmethod
    def of(cls, parts: Sequence[Part], state: State) -> IndexFiles:
        """The manifest for the oldest parts of an index, at a state of the item store."""
        rows = sum(len(part.segment) for part in parts)
        indexes = tuple(map(SegmentIndexRecord.of, parts))
        return cls(state.epoch, int(parts[-1].segment.labels[-1]), state.tombstone, rows, indexes)

    @classmethod
    def read(
        cls, generation: Generation | None, state: State, item_store: SqliteItemStore, text_of: ItemText
    ) -> tuple[IndexFiles, list[Part], Mapping[str, Vectors]] | None:
        """Read a generation: its manifest, its parts, and the queries that they are calibrated on.

        Items are read from the item store on demand.

        Returns:
            None if there is no generation, if the item store has not evolved from its state, or if it cannot be read.
        """
        if generation is None:
            return None
        try:
            indexes = tuple(SegmentIndexRecord(**each) for each in generation.about["indexes"])
            files = cls(**{**generation.about, "indexes": indexes})
            is_ancestor = files.label <= state.label and state.purged <= files.tombstone <= state.tombstone
            if not is_ancestor or files.epoch != state.epoch:
                logger.info("'%s' does not match the item store and will be rebuilt", generation.folder)
                return None
            parts = [
                _part(generation, number, about, item_store, text_of)
                for number, about in enumerate(files.indexes)
            ]
            return files, parts, load_file(generation.folder / QUERIES)
        except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
            # Written by another version, or removed meanwhile: FAISS reports a missing file as a RuntimeError.
            logger.info("'%s' cannot be read and will be rebuilt (%s)", generation.folder, error)
            return None

    def write(self, parts: Sequence[Part], queries: Mapping[str, Vectors], generations: Generations) -> None:
        """Write the parts, and the queries that their indexes are calibrated on, as a generation."""
        contents: dict[str, Write] = {QUERIES: partial(_write_arrays, queries)}
        for number, part in enumerate(parts):
            contents |= _files(part, number)
        generations.write(contents, asdict(self))


def parts_to_write(snapshot: Snapshot) -> Sequence[Part]:
    """The parts that are expensive to build and all older ones, so that one label states which rows are included."""
    graphs = [number for number, part in enumerate(snapshot.parts) if not is_exact(part)]
    return snapshot.parts[: graphs[-1] + 1] if graphs else ()


def _files(part: Part, number: int) -> dict[str, Write]:
    segment = part.segment
    files: dict[str, Write] = {f"{number}.faiss": lambda sink: segment.index.write(sink.write)}
    if isinstance(segment.index, CompressedIndex):
        table = segment.index.table
        files[f"{number}.vectors"] = lambda sink: table.write(sink.write)
    rows = Packed(None, {"labels": segment.labels, "days": segment.days, "alive": part.alive.mask})
    packed: dict[str, Packed] = {
        "rows": rows,
        "columns": pack_columns(segment.columns),
        "lexical": pack_lexical(segment.lexical),
    }
    for name, each in packed.items():
        files[f"{number}.{name}.safetensors"] = partial(_write_arrays, each.arrays)
        files[f"{number}.{name}.json"] = partial(_write_values, each.values)
    return files


def _write_arrays(arrays: Mapping[str, NDArray[Any]], sink: Sink) -> None:
    sink.write(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def _write_values(values: Any, sink: Sink) -> None:
    sink.write(json.dumps(values, ensure_ascii=False, allow_nan=False).encode())


def _part(
    generation: Generation,
    number: int,
    about: SegmentIndexRecord,
    item_store: SqliteItemStore,
    text_of: ItemText,
) -> Part:
    rows = _packed(generation, number, "rows")
    labels = rows.arrays["labels"]
    documents = StoredDocuments(item_store, labels)
    columns = unpack_columns(_packed(generation, number, "columns"), len(labels), documents.known)
    lexical = unpack_lexical(_packed(generation, number, "lexical"), len(labels), documents.known, text_of)
    calibration = None if about.calibration is None else Calibration.from_description(about.calibration)
    files = generation.folder / f"{number}.faiss", generation.folder / f"{number}.vectors"
    index = read_index(files[0], about.kind, files[1], calibration)
    segment = Segment(labels, documents, index, rows.arrays["days"], columns, lexical)
    return Part(segment, Selection(rows.arrays["alive"]))


def _packed(generation: Generation, number: int, name: str) -> Packed:
    values = json.loads((generation.folder / f"{number}.{name}.json").read_bytes())
    return Packed(values, load_file(generation.folder / f"{number}.{name}.safetensors"))
