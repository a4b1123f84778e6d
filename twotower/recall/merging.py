"""The merge policy: which segments of an index to merge, and how.

New rows are searched exhaustively. Once there are too many for a scan, they move into a side graph next to the
main one, and from there into the main graph once the side graph has grown to a twentieth of it. A graph grows by
copying it and adding rows to the copy. So a row is added to a graph once or twice in its life, and a graph that a
search may be reading is never modified. The same holds for the indexes that replace a large graph if memory is short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np

from twotower.recall.filters.columns import Columns
from twotower.recall.segment import Documents, InMemoryDocuments, Labels, Part, Segment
from twotower.recall.selection import Rows
from twotower.recall.vectors.builder import can_extend
from twotower.recall.vectors.exact import ExactIndex
from twotower.recall.vectors.index import Kind, VectorIndex
from twotower.recall.vectors.policy import SIDE_GRAPH_SHARE
from twotower.recall.words.bm25 import LexicalIndex
from twotower.types import Vectors

FLUSH = 2_000  # rows that are scanned next to a graph before they move into one
MAX_DELETED_SHARE = 0.3  # of an index's rows: with more of them deleted it is rebuilt
ROWS_PER_STEP = 5_000  # added to a graph between two checks of whether to continue


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    Args:
        segment: of the rows that were kept.
        kept: the rows of each part that were kept, ascending.
    """

    segment: Segment
    kept: tuple[Rows, ...]


Build: TypeAlias = Callable[[Kind, Iterator[Vectors], VectorIndex | None], VectorIndex | None]
"""Builds an index of a kind from vectors, after those of a base index if there is one; None if it was cancelled."""


def small_merge(parts: Sequence[Part], exact_up_to: float) -> slice | None:
    """Exact parts to merge now, which is quick, so that searches scan few parts and few deleted rows.

    Two neighbours are merged unless the older one is more than twice as large, so there are O(log n) parts; a part
    with more deleted than live rows is rebuilt.
    """
    max_size = exact_up_to if sum(part.size for part in parts) <= exact_up_to else min(FLUSH, exact_up_to)
    for number, part in enumerate(parts):
        if is_exact(part) and 2 * part.size < len(part.segment):
            return slice(number, number + 1)
    for older in range(len(parts) - 2, -1, -1):
        pair = parts[older : older + 2]
        exact = all(map(is_exact, pair))
        if exact and pair[0].size <= 2 * pair[1].size and pair[0].size + pair[1].size <= max_size:
            return slice(older, older + 2)
    return None


def large_merge(parts: Sequence[Part], exact_up_to: float) -> slice | None:
    """Parts to merge in the background: those to move into a graph, or a graph with too many deleted rows."""
    total = sum(part.size for part in parts)
    flush = min(FLUSH, exact_up_to)
    graphs = sum(not is_exact(part) for part in parts)
    for number, part in enumerate(parts[:graphs]):
        if _needs_rebuild(part):
            return slice(number, number + 1)
    if total <= exact_up_to:
        return None
    pending = sum(part.size for part in parts[graphs:])
    outside_main = sum(part.size for part in parts[1:])
    if not graphs or outside_main > max(flush, SIDE_GRAPH_SHARE * total):
        return slice(0, len(parts))
    return slice(1, len(parts)) if pending > flush else None


def merge(
    parts: Sequence[Part],
    kind: Kind,
    build: Build,
    *,
    documents: Callable[[Labels], Documents] | None,
    rebuild: bool = False,
) -> Merged | None:
    """Merge parts into one segment.

    Args:
        parts: neighbours, oldest first.
        kind: of the new index.
        build: builds the index.
        documents: reads the items of a large segment; None keeps them in memory.
        rebuild: drop every deleted row, which extending a copy of an index would keep.

    Returns:
        The merged segment; None if the build was cancelled.
    """
    rows = sum(part.size for part in parts)
    first = parts[0].segment.index
    base = None if rebuild or _needs_rebuild(parts[0]) or not can_extend(first, kind, rows) else first
    kept = [part.alive.rows for part in parts]
    if base is not None:
        kept[0] = np.arange(len(base))
    labels = np.concatenate([part.segment.labels[rows] for part, rows in zip(parts, kept, strict=True)])
    days = np.concatenate([part.segment.days[rows] for part, rows in zip(parts, kept, strict=True)])
    index = build(kind, _vectors(parts if base is None else parts[1:]), base)
    if index is None:
        return None
    in_memory = all(isinstance(part.segment.documents, InMemoryDocuments) for part in parts)
    if documents is not None and (kind != "exact" or not in_memory):
        read = documents(labels)
    else:
        items = (part.segment.documents.at(rows.tolist()) for part, rows in zip(parts, kept, strict=True))
        read = InMemoryDocuments(tuple(chain.from_iterable(items)))
    columns = [(part.segment.columns, rows) for part, rows in zip(parts, kept, strict=True)]
    lexical = [(part.segment.lexical, rows) for part, rows in zip(parts, kept, strict=True)]
    segment = Segment(
        labels,
        read,
        index,
        days,
        Columns.joined(columns, read.known),
        LexicalIndex.joined(lexical, read.known),
    )
    return Merged(segment, tuple(kept))


def is_exact(part: Part) -> bool:
    """Whether it is searched exhaustively, and so is quick to build."""
    return isinstance(part.segment.index, ExactIndex)


def _needs_rebuild(part: Part) -> bool:
    """Whether too many of its rows are deleted."""
    return part.size < (1 - MAX_DELETED_SHARE) * len(part.segment)


def _vectors(parts: Sequence[Part]) -> Iterator[Vectors]:
    for part in parts:
        for start in range(0, part.size, ROWS_PER_STEP):
            yield part.segment.index.vectors(part.alive.rows[start : start + ROWS_PER_STEP])
