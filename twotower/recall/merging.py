"""Which segments of an index should become one, and how they do.

What was just written is searched exactly. When there is more of it than a scan is good for, it moves into a graph:
a small one beside the large one, which moves into the large one when it has grown to a twentieth of it. A graph grows
by a copy of it that takes more rows. So a row is added to a graph once or twice in its life, and no graph that a
search may hold is ever changed. The same goes for the indexes that stand in for a large graph where memory is short.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

import numpy as np

from twotower.recall.bm25 import LexicalIndex
from twotower.recall.columns import Columns
from twotower.recall.segment import Documents, InMemoryDocuments, Labels, Part, Segment
from twotower.recall.selection import Rows
from twotower.recall.vectors.build import may_grow
from twotower.recall.vectors.exact import ExactIndex
from twotower.recall.vectors.index import Kind, VectorIndex
from twotower.recall.vectors.policy import BESIDE
from twotower.types import Vectors

FLUSH = 2_000  # rows that are scanned beside a graph before they move into one
DEAD_SHARE = 0.3  # of an index's rows: with more of them dead it is built anew
ROWS_PER_STEP = 5_000  # rows added to a graph between two checks of whether to go on


@dataclass(frozen=True, slots=True)
class Merged:
    """Several parts as one.

    Args:
        segment: of the rows that were kept.
        kept: for each part, which of its rows those are, in order.
    """

    segment: Segment
    kept: tuple[Rows, ...]


Build: TypeAlias = Callable[[Kind, Iterator[Vectors], VectorIndex | None], VectorIndex | None]
"""Makes an index of a kind from vectors, of which those of another one may be the first; None where it gave up."""


def small_merge(parts: Sequence[Part], exact_up_to: float) -> slice | None:
    """What is quick to merge and should be, so that few parts are scanned, and few rows that are dead.

    The older of two is merged with the younger unless it is more than twice as large, so there are O(log n) of them;
    a part with more dead than living rows is made anew.
    """
    most = exact_up_to if sum(part.size for part in parts) <= exact_up_to else min(FLUSH, exact_up_to)
    for number, part in enumerate(parts):
        if is_exact(part) and 2 * part.size < len(part.segment):
            return slice(number, number + 1)
    for older in range(len(parts) - 2, -1, -1):
        pair = parts[older : older + 2]
        exact = all(map(is_exact, pair))
        if exact and pair[0].size <= 2 * pair[1].size and pair[0].size + pair[1].size <= most:
            return slice(older, older + 2)
    return None


def large_merge(parts: Sequence[Part], exact_up_to: float) -> slice | None:
    """Parts that should move into a graph, or into one graph, or a graph with too many dead rows."""
    total = sum(part.size for part in parts)
    flush = min(FLUSH, exact_up_to)
    graphs = sum(not is_exact(part) for part in parts)
    for number, part in enumerate(parts[:graphs]):
        if _is_worn(part):
            return slice(number, number + 1)
    if total <= exact_up_to:
        return None
    waiting = sum(part.size for part in parts[graphs:])
    beside = sum(part.size for part in parts[1:])
    if not graphs or beside > max(flush, BESIDE * total):
        return slice(0, len(parts))
    return slice(1, len(parts)) if waiting > flush else None


def merge(
    parts: Sequence[Part],
    kind: Kind,
    build: Build,
    *,
    documents: Callable[[Labels], Documents] | None,
    anew: bool = False,
) -> Merged | None:
    """Make one segment of several.

    Args:
        parts: neighbours, oldest first.
        kind: of the index that shall search it.
        build: makes the index.
        documents: where the items of a large segment are read; None keeps them in memory.
        anew: keep no dead row, as a copy of an index would.

    Returns:
        None where the build gave up.
    """
    rows = sum(part.size for part in parts)
    first = parts[0].segment.index
    base = None if anew or _is_worn(parts[0]) or not may_grow(first, kind, rows) else first
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
    """Whether it is searched exhaustively, and so quick to make."""
    return isinstance(part.segment.index, ExactIndex)


def _is_worn(part: Part) -> bool:
    """Whether too many of its rows are dead."""
    return part.size < (1 - DEAD_SHARE) * len(part.segment)


def _vectors(parts: Sequence[Part]) -> Iterator[Vectors]:
    for part in parts:
        for start in range(0, part.size, ROWS_PER_STEP):
            yield part.segment.index.vectors(part.alive.rows[start : start + ROWS_PER_STEP])
