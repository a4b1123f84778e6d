"""Short codes in memory to find candidates by, and their vectors on the disk to rank them by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from twotower.recall.plan import Effort, Plan, plan_walk
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors import faiss_calls
from twotower.recall.vectors.calibration import Calibration, K
from twotower.recall.vectors.graph import Graph
from twotower.recall.vectors.index import Kind
from twotower.recall.vectors.lists import InvertedLists
from twotower.recall.vectors.table import VectorTable
from twotower.types import Scores, Vectors

SUBSET_ROWS = 10_000  # so many are read from the table and compared at once
RANKED_ROWS = 50_000  # so many vectors of candidates are in memory at once


class CompressedIndex:
    """A graph over bytes or an inverted index, whose answers are ranked once more by half-precision vectors.

    Args:
        kind: which it is.
        codes: n rows.
        table: their vectors.
        effort: None is the usual one.
        calibration: what it achieves, if anybody has measured.
    """

    def __init__(
        self,
        kind: Kind,
        codes: Graph | InvertedLists,
        table: VectorTable,
        effort: Effort | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.kind: Kind = kind
        self.codes = codes
        self.table = table
        self.calibration = calibration
        self.usual = codes.usual
        self._effort = self.usual if effort is None else effort

    @property
    def size_bytes(self) -> int:
        """See `VectorIndex.size_bytes`; the vectors are on the disk."""
        return self.codes.size_bytes

    def __len__(self) -> int:
        return len(self.table)

    def plan(self, k: int, selection: Selection | None = None) -> Plan:
        """See `VectorIndex.plan`."""
        rows = len(self)
        selected = rows if selection is None else selection.count
        depth = self.codes.reach(self._effort.depth, k, self._fetch(k))
        return plan_walk(rows, selected, k, depth, SUBSET_ROWS, self.codes.method)

    def search(self, queries: Vectors, k: int, selection: Selection | None = None) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        plan = self.plan(k, selection)
        if plan.method == "subset" and selection is not None:
            found = queries @ self.table.vectors(selection.rows).T  # (q, selected)
            return faiss_calls.nearest(found, selection.rows, k)
        chosen = None if selection is None else selection.bitmap
        fetch = self._fetch(k)
        if plan.method != self.codes.method:
            _, rows = self.codes.scan(queries, fetch, chosen)
            return self._ranked(queries, rows, k)
        _, rows = self.codes.walk(queries, fetch, chosen, plan.depth)
        short = rows[:, min(k, plan.selected) - 1] < 0
        if short.any():
            _, rows[short] = self.codes.scan(queries[short], fetch, chosen)
        return self._ranked(queries, rows, k)

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`; float16 precision."""
        return self.table.vectors(rows)

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`; the table is another file."""
        faiss_calls.write(self.codes.native, sink)

    def efforts(self) -> Iterator[Effort]:
        """See `Tunable.efforts`."""
        return (Effort(depth, widen) for depth, widen in product(self.codes.depths(), self.codes.widenings))

    def tuned(self, effort: Effort, calibration: Calibration | None) -> CompressedIndex:
        """See `Tunable.tuned`."""
        return CompressedIndex(self.kind, self.codes, self.table, effort, calibration)

    def _fetch(self, k: int) -> int:
        """How many rows are found by their codes for k: for few, as many as the effort was measured with."""
        return min(max(k, K) * self._effort.widen, len(self))

    def _ranked(self, queries: Vectors, rows: Rows, k: int) -> tuple[Scores, Rows]:
        scores: Scores = np.full(rows.shape, -np.inf, dtype=np.float32)
        at_once = max(1, RANKED_ROWS // rows.shape[1])
        for start in range(0, len(queries), at_once):
            some = slice(start, start + at_once)
            vectors = self.table.vectors(np.maximum(rows[some], 0))  # (q, fetch, dim)
            scores[some] = np.einsum("qkd,qd->qk", vectors, queries[some])
        scores[rows < 0] = -np.inf
        return faiss_calls.best(scores, rows, k)
