"""Which segments of an index should become one, and how they do.

What was just written is searched exactly. When there is more of it than a scan is good for, it moves into a graph:
a small one beside the large one, which moves into the large one when it has grown to a twentieth of it. A graph grows
by a copy of it that takes more rows. So a row is added to a graph once or twice in its life, and no graph that a
search may hold is ever changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from twotower.recall.columns import Columns
from twotower.recall.postings import LexicalIndex
from twotower.recall.segment import Documents, Kept, Labels, Part, Segment
from twotower.recall.selection import Rows
from twotower.recall.vector_index import ExactIndex, GraphIndex, GrowingGraph, VectorIndex
from twotower.types import Vectors

FLUSH = 2_000  # rows that are scanned beside a graph before they move into one
SMALL_SHARE = 0.05  # of all rows: how large the graph beside the large one may become
DEAD_SHARE = 0.2  # of a graph's rows: with more of them dead it is built anew
AT_ONCE = 2_000  # rows added to a graph between two looks at whether to go on


@dataclass(frozen=True, slots=True)
class Merged:
    """Several parts as one.

    Args:
        segment: of the rows that were kept.
        kept: for each part, which of its rows those are, in order.
    """

    segment: Segment
    kept: tuple[Rows, ...]


def small_merge(parts: Sequence[Part], graph_above: int) -> slice | None:
    """What is quick to merge and should be, so that few parts are scanned, and few rows that are dead.

    The older of two is merged with the younger unless it is more than twice as large, so there are O(log n) of them;
    a part with more dead than living rows is made anew.
    """
    most = graph_above if sum(part.size for part in parts) <= graph_above else min(FLUSH, graph_above)
    for number, part in enumerate(parts):
        if isinstance(part.segment.index, ExactIndex) and 2 * part.size < len(part.segment):
            return slice(number, number + 1)
    for older in range(len(parts) - 2, -1, -1):
        pair = parts[older : older + 2]
        exact = all(isinstance(part.segment.index, ExactIndex) for part in pair)
        if exact and pair[0].size <= 2 * pair[1].size and pair[0].size + pair[1].size <= most:
            return slice(older, older + 2)
    return None


def large_merge(parts: Sequence[Part], graph_above: int) -> slice | None:
    """Parts that should move into a graph, or into one graph, or a graph with too many dead rows."""
    total = sum(part.size for part in parts)
    flush = min(FLUSH, graph_above)
    graphs = sum(isinstance(part.segment.index, GraphIndex) for part in parts)
    for number, part in enumerate(parts[:graphs]):
        if not _may_grow(part):
            return slice(number, number + 1)
    if total <= graph_above:
        return None
    waiting = sum(part.size for part in parts[graphs:])
    beside = sum(part.size for part in parts[1:])
    if not graphs or beside > max(flush, SMALL_SHARE * total):
        return slice(0, len(parts))
    return slice(1, len(parts)) if waiting > flush else None


def merge(
    parts: Sequence[Part],
    *,
    graph: bool,
    documents: Callable[[Labels], Documents] | None,
    anew: bool = False,
    go_on: Callable[[], bool] = lambda: True,
) -> Merged | None:
    """Make one segment of several.

    Args:
        parts: neighbours, oldest first.
        graph: whether a graph shall search it.
        documents: where the items of a graph's rows are read; None keeps them in memory.
        anew: keep no dead row, as a copy of a graph would.
        go_on: asked from time to time.

    Returns:
        None where it should not go on.
    """
    first = parts[0].segment.index
    base = first if isinstance(first, GraphIndex) and graph and not anew and _may_grow(parts[0]) else None
    kept = [part.alive.rows for part in parts]
    if base is not None:
        kept[0] = np.arange(len(base))
    labels = np.concatenate([part.segment.labels[rows] for part, rows in zip(parts, kept, strict=True)])
    days = np.concatenate([part.segment.days[rows] for part, rows in zip(parts, kept, strict=True)])
    index: VectorIndex
    if graph:
        growing = GrowingGraph(base)
        for some in _vectors(parts if base is None else parts[1:]):
            if not go_on():
                return None
            growing.add(some)
        index = growing.done()
    else:
        index = ExactIndex.build(np.concatenate([part.vectors() for part in parts]))
    in_memory = all(isinstance(part.segment.documents, Kept) for part in parts)
    if documents is not None and (graph or not in_memory):
        read = documents(labels)
    else:
        items = (part.segment.documents.at(rows.tolist()) for part, rows in zip(parts, kept, strict=True))
        read = Kept(tuple(chain.from_iterable(items)))
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


def _may_grow(part: Part) -> bool:
    """Whether few enough of its rows are dead."""
    return part.size >= (1 - DEAD_SHARE) * len(part.segment)


def _vectors(parts: Sequence[Part]) -> Iterator[Vectors]:
    for part in parts:
        for start in range(0, part.size, AT_ONCE):
            yield part.segment.index.vectors(part.alive.rows[start : start + AT_ONCE])
