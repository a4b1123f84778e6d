"""An immutable batch of items with everything that searching them needs; a row is an item's place in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.recall.columns import Columns
from twotower.recall.vector_index import GRAPH_ABOVE, Mask, Rows, VectorIndex, build_index
from twotower.types import Item, Vectors

SECONDS_A_DAY = 86_400.0
Labels: TypeAlias = NDArray[np.int64]
"""Numbers of versions of items, given by whoever keeps the items, each once and ascending."""


class Documents(Protocol):
    """The items of a segment, in memory or where they can be read."""

    def at(self, rows: Sequence[int]) -> list[Item]:
        """The items of m rows."""
        ...

    def for_columns(self, rows: Sequence[int]) -> list[Item]:
        """The items of m rows, of which dead ones may be gone: an item without anything is as good for those."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Items in memory."""

    items: tuple[Item, ...]

    def at(self, rows: Sequence[int]) -> list[Item]:
        """See `Documents.at`."""
        return [self.items[row] for row in rows]

    def for_columns(self, rows: Sequence[int]) -> list[Item]:
        """See `Documents.for_columns`."""
        return self.at(rows)


@dataclass(frozen=True, slots=True)
class Segment:
    """Items, vectors, times and attribute columns of n rows.

    Args:
        labels: shape (n,), ascending.
        documents: the n items.
        index: n vectors.
        days: float64 of shape (n,), days since 1970 of each item's time; NaN where it has none.
        columns: the attributes of the n items.
    """

    labels: Labels
    documents: Documents
    index: VectorIndex
    days: NDArray[np.float64]
    columns: Columns

    @classmethod
    def build(
        cls, labels: Labels, items: Sequence[Item], vectors: Vectors, *, graph_above: int = GRAPH_ABOVE
    ) -> Segment:
        """Build from n labels, items and float32 vectors of shape (n, dim), and keep the items in memory."""
        index = build_index(vectors, graph_above=graph_above)
        return cls.of(labels, Kept(tuple(items)), index, days_of(items))

    @classmethod
    def of(
        cls, labels: Labels, documents: Documents, index: VectorIndex, days: NDArray[np.float64]
    ) -> Segment:
        """Put together what was built; the columns are built when a filter reads them."""
        return cls(labels, documents, index, days, Columns(len(labels), documents.for_columns))

    def __len__(self) -> int:
        return len(self.labels)

    def rows_of(self, labels: Labels) -> Rows:
        """The rows of m labels, shape (m,); -1 where a label is not here."""
        if not len(self.labels):
            return np.full(len(labels), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self.labels, labels), len(self.labels) - 1)
        return np.where(self.labels[places] == labels, places, -1)


@dataclass(frozen=True)
class Part:
    """A segment and which of its rows are current.

    Args:
        segment: n rows.
        alive: bool of shape (n,); False for rows that were deleted or replaced since. Never written to.
    """

    segment: Segment
    alive: Mask

    @classmethod
    def whole(cls, segment: Segment) -> Part:
        """A segment all of whose rows are current."""
        return cls(segment, np.ones(len(segment), dtype=np.bool_))

    @cached_property
    def size(self) -> int:
        """Number of rows that are alive."""
        return int(np.count_nonzero(self.alive))

    def vectors(self) -> Vectors:
        """The vectors of the rows that are alive, float32 of shape (size, dim)."""
        return self.segment.index.vectors(np.flatnonzero(self.alive))

    def without(self, labels: Labels) -> Part:
        """The same segment with the rows of some labels dead; labels of other segments do not matter."""
        rows = self.segment.rows_of(labels)
        rows = rows[rows >= 0]
        if not rows.size:
            return self
        alive = self.alive.copy()
        alive[rows] = False
        return Part(self.segment, alive)


def days_of(items: Sequence[Item]) -> NDArray[np.float64]:
    """Days since 1970 of n items' times, shape (n,); NaN where an item has none."""
    seconds = (np.nan if item.time is None else item.time.timestamp() for item in items)
    return np.fromiter(seconds, dtype=np.float64, count=len(items)) / SECONDS_A_DAY
