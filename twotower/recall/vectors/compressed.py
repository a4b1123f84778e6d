"""Compressed codes in memory to find candidates, and their vectors on disk to rescore them."""

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

SUBSET_ROWS = 10_000  # up to this many selected rows are read from the table and scored exactly
RESCORED_ROWS = 50_000  # vectors of candidates in memory at a time


class CompressedIndex:
    """A graph over 8-bit codes or an inverted file, whose candidates are rescored with half-precision vectors.

    Args:
        kind: of index.
        codes: of n rows.
        table: their vectors.
        effort: None is `default_effort`.
        calibration: the measured recall; None if it was not measured.
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
        self.default_effort = codes.default_effort
        self._effort = self.default_effort if effort is None else effort

    @property
    def size_bytes(self) -> int:
        """See `VectorIndex.size_bytes`; the vectors are on disk."""
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
            return self._rescored(queries, rows, k)
        _, rows = self.codes.walk(queries, fetch, chosen, plan.depth)
        short = rows[:, min(k, plan.selected) - 1] < 0
        if short.any():
            _, rows[short] = self.codes.scan(queries[short], fetch, chosen)
        return self._rescored(queries, rows, k)

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`; float16 precision."""
        return self.table.vectors(rows)

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`; the table is another file."""
        faiss_calls.write(self.codes.native, sink)

    def efforts_to_try(self) -> Iterator[Effort]:
        """See `Tunable.efforts_to_try`."""
        return (Effort(depth, widen) for depth, widen in product(self.codes.depths(), self.codes.widenings))

    def with_effort(self, effort: Effort, calibration: Calibration | None) -> CompressedIndex:
        """See `Tunable.with_effort`."""
        return CompressedIndex(self.kind, self.codes, self.table, effort, calibration)

    def _fetch(self, k: int) -> int:
        """How many candidates to fetch by their codes; for a small k, as many as during calibration."""
        return min(max(k, K) * self._effort.widen, len(self))

    def _rescored(self, queries: Vectors, rows: Rows, k: int) -> tuple[Scores, Rows]:
        scores: Scores = np.full(rows.shape, -np.inf, dtype=np.float32)
        queries_per_block = max(1, RESCORED_ROWS // rows.shape[1])
        for start in range(0, len(queries), queries_per_block):
            block = slice(start, start + queries_per_block)
            vectors = self.table.vectors(np.maximum(rows[block], 0))  # (q, fetch, dim)
            scores[block] = np.einsum("qkd,qd->qk", vectors, queries[block])
        scores[rows < 0] = -np.inf
        return faiss_calls.best(scores, rows, k)
