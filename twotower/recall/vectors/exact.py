"""Exhaustive search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from twotower.recall.plan import Plan, plan_exact
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors import faiss_calls
from twotower.recall.vectors.index import Kind
from twotower.types import Scores, Vectors

TIES = 16  # rows fetched beyond k, so that ties at the cut are broken by row number
SMALL_SCAN = 1 << 20  # vector components, which take about 0.2 ms to compare with one query


class ExactIndex:
    """Exhaustive search over float32.

    Args:
        index: FAISS's flat index.
    """

    kind: ClassVar[Kind] = "exact"
    calibration: ClassVar[None] = None

    def __init__(self, index: Any) -> None:
        import faiss

        faiss_calls.make_forks_safe()
        self._index = index
        # A view of FAISS's memory, which lives as long as the index and does not change.
        self._table: Vectors = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d).reshape(-1, index.d)

    @classmethod
    def build(cls, vectors: Vectors) -> ExactIndex:
        """Index float32 of shape (n, dim), unit rows."""
        import faiss

        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        return cls(index)

    @property
    def size_bytes(self) -> int:
        """See `VectorIndex.size_bytes`."""
        return self._table.nbytes

    def __len__(self) -> int:
        return len(self._table)

    def plan(self, k: int, selection: Selection | None = None) -> Plan:
        """See `VectorIndex.plan`."""
        return plan_exact(len(self), len(self) if selection is None else selection.count)

    def search(self, queries: Vectors, k: int, selection: Selection | None = None) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        fetch = min(k + TIES, len(self))
        small = len(queries) == 1 and self._table.size <= SMALL_SCAN
        rows = (
            self._scan_with_numpy(queries[0], fetch, selection)
            if small
            else self._scan_with_faiss(queries, fetch, selection)
        )
        # FAISS's sums depend on the batch size; these do not, so a query scores the same alone and in a batch.
        found = self._table[np.maximum(rows, 0)]  # (q, fetch, dim)
        scores = np.einsum("qkd,qd->qk", found, queries, dtype=np.float64).astype(np.float32)
        scores[rows < 0] = -np.inf
        return faiss_calls.best(scores, rows, k)

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`."""
        return self._table[rows]

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`."""
        faiss_calls.write(self._index, sink)

    def _scan_with_faiss(self, queries: Vectors, fetch: int, selection: Selection | None) -> Rows:
        """Nearest rows by FAISS, shape (q, fetch); -1 where fewer rows are selected."""
        import faiss

        if selection is None:
            return faiss_calls.search(self._index, queries, fetch)[1]
        # an exhaustive search is the only one in which FAISS reads an array of rows directly
        subset = self.plan(fetch, selection).method == "subset"
        chosen = faiss.IDSelectorArray(selection.rows) if subset else selection.bitmap
        return faiss_calls.search(self._index, queries, fetch, faiss.SearchParameters(sel=chosen))[1]

    def _scan_with_numpy(self, query: Vectors, fetch: int, selection: Selection | None) -> Rows:
        """The same for one query by numpy, without releasing the GIL.

        A thread that releases it waits several milliseconds to get it back while another thread writes. For the same
        reason this avoids BLAS, which `@` would call: its threads may wait for a free processor.
        """
        negative = -np.einsum("nd,d->n", self._table, query)
        if selection is not None:
            negative[~selection.mask] = np.inf
        rows = np.argpartition(negative, fetch - 1)[:fetch]
        return np.where(negative[rows] == np.inf, -1, rows)[None, :]
