"""An immutable batch of items with everything that searching them needs; a row is an item's place in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.recall.columns import Columns
from twotower.recall.vector_index import GRAPH_ABOVE, Mask, VectorIndex, build_index
from twotower.types import Item, Vectors

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Segment:
    """Items, vectors, times and attribute columns of n rows.

    Args:
        items: n items.
        index: n vectors.
        days: float64 of shape (n,), days since 1970 of each item's time; NaN where it has none.
        columns: the attributes of the n items.
        rows: row by item id.
    """

    items: tuple[Item, ...]
    index: VectorIndex
    days: NDArray[np.float64]
    columns: Columns
    rows: Mapping[str, int]

    @classmethod
    def build(cls, items: Sequence[Item], vectors: Vectors, *, graph_above: int = GRAPH_ABOVE) -> Segment:
        """Build from n items and float32 vectors of shape (n, dim)."""
        seconds = (np.nan if item.time is None else item.time.timestamp() for item in items)
        days = np.fromiter(seconds, dtype=np.float64, count=len(items)) / SECONDS_A_DAY
        index = build_index(vectors, graph_above=graph_above)
        return cls(
            tuple(items), index, days, Columns(items), {item.id: row for row, item in enumerate(items)}
        )

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Part:
    """A segment and which of its rows are current.

    Args:
        segment: n rows.
        alive: bool of shape (n,); False for rows that were deleted or replaced since. Never written to.
    """

    segment: Segment
    alive: Mask

    @property
    def size(self) -> int:
        """Number of rows that are alive."""
        return int(np.count_nonzero(self.alive))

    def without(self, rows: Sequence[int]) -> Part:
        """The same segment with some rows dead."""
        alive = self.alive.copy()
        alive[list(rows)] = False
        return Part(self.segment, alive)
