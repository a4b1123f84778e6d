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

TIES = 16  # rows fetched beyond k, among which ties at the cut are settled by row
BRIEF = 1 << 20  # numbers that are compared with one query in some 0.2 ms


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
        # FAISS's own memory, which lives as long as the index and does not change.
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
        brief = len(queries) == 1 and self._table.size <= BRIEF
        rows = (
            self._compared(queries[0], fetch, selection) if brief else self._asked(queries, fetch, selection)
        )
        # FAISS's sums depend on the size of the batch; these do not, so a batch scores as its queries would alone.
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

    def _asked(self, queries: Vectors, fetch: int, selection: Selection | None) -> Rows:
        """Some nearest rows by FAISS, shape (q, fetch); -1 where fewer are selected."""
        import faiss

        if selection is None:
            return faiss_calls.search(self._index, queries, fetch)[1]
        # FAISS reads an array of rows directly here, and only here
        subset = self.plan(fetch, selection).method == "subset"
        chosen = faiss.IDSelectorArray(selection.rows) if subset else selection.bitmap
        return faiss_calls.search(self._index, queries, fetch, faiss.SearchParameters(sel=chosen))[1]

    def _compared(self, query: Vectors, fetch: int, selection: Selection | None) -> Rows:
        """The same for one query by numpy, which keeps the interpreter's lock.

        Whoever lets go of it waits some milliseconds to have it back while another thread writes. The same goes for
        BLAS, which `@` would call, where it waits for threads that find no free processor.
        """
        negative = -np.einsum("nd,d->n", self._table, query)
        if selection is not None:
            negative[~selection.mask] = np.inf
        rows = np.argpartition(negative, fetch - 1)[:fetch]
        return np.where(negative[rows] == np.inf, -1, rows)[None, :]
