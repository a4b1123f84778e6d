"""Compressed codes in memory to find candidates, and their vectors on disk to rescore them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from twotower.recall.plan import Effort, Plan, plan_walk
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors import faiss_calls
from twotower.recall.vectors.blocks import block_for, search_in_blocks
from twotower.recall.vectors.calibration import Calibration, K
from twotower.recall.vectors.graph import Graph
from twotower.recall.vectors.index import Kind
from twotower.recall.vectors.lists import InvertedLists
from twotower.recall.vectors.scores import best_found, best_of_all
from twotower.recall.vectors.table import VectorTable
from twotower.types import Scores, Vectors

SUBSET_ROWS = 10_000  # up to this many selected rows are read from the table and scored exactly


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

    def plan(self, k: int, selection: Selection | None = None, first: int = 1) -> Plan:
        """See `VectorIndex.plan`."""
        rows = len(self)
        selected = rows if selection is None else selection.count
        size = block_for(k, max(first, K))
        depth = self.codes.reach(self._effort.depth, size, self._fetch(size))
        return plan_walk(rows, selected, size, depth, SUBSET_ROWS, self.codes.method)

    def search(
        self, queries: Vectors, k: int, selection: Selection | None = None, first: int = 1
    ) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        selected = len(self) if selection is None else selection.count
        block = partial(self._search_block, selection=selection)
        first = max(first, K)  # as many as during calibration
        if k > first and self.plan(first, selection, first).method == "subset":
            first = k  # it finds the best of all
        return search_in_blocks(block, queries, k, first, selected)

    def _search_block(self, queries: Vectors, k: int, *, selection: Selection | None) -> tuple[Scores, Rows]:
        """The k nearest rows, at most as many as are selected."""
        plan = self.plan(k, selection, k)
        if plan.method == "subset" and selection is not None:
            return self._search_subset(queries, k, selection.rows)
        find = partial(self._find, k=k, plan=plan, chosen=None if selection is None else selection.bitmap)
        return best_found(find, self.vectors, queries, k, self._fetch(k), plan.selected)

    def _search_subset(self, queries: Vectors, k: int, rows: Rows) -> tuple[Scores, Rows]:
        """The k nearest of a few rows, all of them scored."""
        vectors = self.table.vectors(rows)
        scores = queries @ vectors.T  # (q, selected)
        found = [
            best_of_all(row, self.vectors, query, k, rows) for row, query in zip(scores, queries, strict=True)
        ]
        return np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found])

    def _find(self, queries: Vectors, fetch: int, *, k: int, plan: Plan, chosen: Any) -> tuple[Scores, Rows]:
        """The `fetch` nearest rows by their codes, at least min(k, selected) of them."""
        if plan.method != self.codes.method:
            return self.codes.scan(queries, fetch, chosen)
        depth = plan.depth if fetch <= self._fetch(k) else self.codes.reach(plan.depth, k, fetch)
        scores, rows = self.codes.walk(queries, fetch, chosen, depth)
        short = rows[:, min(k, plan.selected) - 1] < 0
        if short.any():
            scores[short], rows[short] = self.codes.scan(queries[short], fetch, chosen)
        return scores, rows

    def comparable(self) -> CompressedIndex:
        """See `VectorIndex.comparable`."""
        return self

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
