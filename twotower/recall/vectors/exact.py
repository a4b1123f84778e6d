"""Exhaustive search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from twotower.recall.plan import Plan, plan_exact
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors import faiss_calls
from twotower.recall.vectors.index import Kind
from twotower.recall.vectors.scores import (
    ROUNDING,
    TIES,
    best,
    best_of_all,
    in_half_precision,
    inner_products,
)
from twotower.types import Scores, Vectors

HALF_ERROR = 6e-4  # of an inner product of unit vectors, one of which is rounded to half precision
SMALL_SCAN = 1 << 20  # vector components, which take about 0.2 ms to compare with one query


class ExactIndex:
    """Exhaustive search over float32.

    Args:
        index: FAISS's flat index.
        halved: score with the vectors rounded to half precision.
    """

    kind: ClassVar[Kind] = "exact"
    calibration: ClassVar[None] = None

    def __init__(self, index: Any, *, halved: bool = False) -> None:
        import faiss

        faiss_calls.make_forks_safe()
        self._index = index
        self._halved = halved
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

    def plan(self, k: int, selection: Selection | None = None, first: int = 1) -> Plan:
        """See `VectorIndex.plan`."""
        return plan_exact(len(self), len(self) if selection is None else selection.count)

    def search(
        self, queries: Vectors, k: int, selection: Selection | None = None, first: int = 1
    ) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        if len(queries) == 1 and self._table.size <= SMALL_SCAN:
            return self._search_all(queries[0], k, selection)
        selected = len(self) if selection is None else selection.count
        fetch = min(k + TIES, len(self))
        approximate, found = self._scan(queries, fetch, selection)
        scores, rows = best(inner_products(queries, found, self.vectors), found, k)
        if fetch < selected:
            error = HALF_ERROR if self._halved else ROUNDING
            tied = approximate[:, -1] >= scores[:, -1] - error
            for query in np.flatnonzero(tied) if tied.any() else ():
                scores[query], rows[query] = self._search_all(queries[query], k, selection)
        return scores, rows

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`."""
        vectors = self._table[rows]
        return in_half_precision(vectors) if self._halved else vectors

    def comparable(self) -> ExactIndex:
        """See `VectorIndex.comparable`; with vectors of half precision, as all other kinds have no other."""
        return ExactIndex(self._index, halved=True)

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`."""
        faiss_calls.write(self._index, sink)

    def _scan(self, queries: Vectors, fetch: int, selection: Selection | None) -> tuple[Scores, Rows]:
        """Nearest rows by FAISS with its scores, shape (q, fetch); row -1 where fewer are selected."""
        import faiss

        if selection is None:
            return faiss_calls.search(self._index, queries, fetch)
        # an exhaustive search is the only one in which FAISS reads an array of rows directly
        subset = self.plan(fetch, selection).method == "subset"
        chosen = faiss.IDSelectorArray(selection.rows) if subset else selection.bitmap
        return faiss_calls.search(self._index, queries, fetch, faiss.SearchParameters(sel=chosen))

    def _search_all(self, query: Vectors, k: int, selection: Selection | None) -> tuple[Scores, Rows]:
        """The k best rows of one query by numpy, without releasing the GIL.

        A thread that releases it waits several milliseconds to get it back while another thread writes. For the same
        reason this avoids BLAS, which `@` would call: its threads may wait for a free processor.
        """
        approximate = np.einsum("nd,d->n", self._table, query)
        selected = None if selection is None else selection.rows
        return best_of_all(
            approximate if selected is None else approximate[selected],
            self.vectors,
            query,
            k,
            selected,
            error=HALF_ERROR if self._halved else ROUNDING,
        )
