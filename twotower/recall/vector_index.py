"""FAISS behind one small contract: immutable, rows are ordinals, never fewer results than there are matches.

FAISS's own ids are never used (its IDMap loses or misreads filters, faiss 1.15), every call makes its own
SearchParameters (sharing one between threads crashes), and an index is never changed once built (searching
while adding kills the process).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from twotower.recall.plan import SEARCH_DEPTH, Plan, plan_exact, plan_graph
from twotower.recall.selection import Rows, Selection
from twotower.types import Scores, Vectors

GRAPH_ABOVE = 20_000  # rows; below, an exhaustive scan is as fast as a graph and exact
CONSTRUCTION_DEPTH = 100
TIES = 16  # rows that an exact search fetches beyond k, among which ties at the cut are settled by row


class VectorIndex(Protocol):
    """Nearest rows by inner product."""

    @property
    def kind(self) -> str:
        """Either "exact" or "graph"."""
        ...

    @property
    def size_bytes(self) -> int:
        """Memory of vectors and graph."""
        ...

    def __len__(self) -> int:
        """Number of rows, n."""
        ...

    def plan(self, k: int, selection: Selection | None = None) -> Plan:
        """How `search` will go about it."""
        ...

    def search(self, queries: Vectors, k: int, selection: Selection | None = None) -> tuple[Scores, Rows]:
        """Find the k nearest selected rows of each query.

        Args:
            queries: float32 of shape (q, dim), unit rows.
            k: at least 1.
            selection: of the n rows, or None for all rows.

        Returns:
            Inner products and rows, each (q, k), best first (an exact index: the lower row first among equals);
            where fewer than k rows are selected, the rest has row -1. Never fewer than min(k, selected rows),
            never a row that is not selected.
        """
        ...

    def vectors(self, rows: Rows) -> Vectors:
        """The stored vectors of m rows, float32 of shape (m, dim)."""
        ...

    def write(self, write: Callable[[bytes], object], /) -> None:
        """Hand out the whole index in pieces, for `read_index`."""
        ...


class ExactIndex:
    """Exhaustive search over float32.

    Args:
        index: FAISS's flat index.
    """

    kind = "exact"

    def __init__(self, index: Any) -> None:
        import faiss

        _ready()
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
        import faiss

        method = self.plan(k, selection).method
        if selection is None:
            chosen = None
        else:  # FAISS reads an array of rows directly here, and only here
            chosen = faiss.IDSelectorArray(selection.rows) if method == "subset" else selection.bitmap
        _, rows = _scan(self._index, queries, min(k + TIES, len(self)), chosen)
        # FAISS's sums depend on the size of the batch; these do not, so a batch scores as its queries would alone.
        found = self._table[np.maximum(rows, 0)]  # (q, k + TIES, dim)
        scores = np.einsum("qkd,qd->qk", found, queries, dtype=np.float64).astype(np.float32)
        scores[rows < 0] = -np.inf
        best = np.lexsort((rows, -scores))[:, :k]
        queried = np.arange(len(queries))[:, None]
        return _padded(scores[queried, best], rows[queried, best], k)

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`."""
        return self._table[rows]

    def write(self, write: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`."""
        _write(self._index, write)


class GraphIndex:
    """An HNSW graph over float16, with an exhaustive scan of the same vectors where a graph would fall short.

    Args:
        index: FAISS's graph over a scalar quantizer.
    """

    kind = "graph"

    def __init__(self, index: Any) -> None:
        import faiss

        _ready()
        index.hnsw.efSearch = SEARCH_DEPTH
        self._index = index
        self._storage = faiss.downcast_index(index.storage)
        count, width = index.ntotal, self._storage.code_size
        # FAISS's own memory, which lives as long as the index and does not change.
        self._codes = faiss.rev_swig_ptr(self._storage.codes.data(), count * width).reshape(count, width)

    @classmethod
    def build(cls, vectors: Vectors) -> GraphIndex:
        """Index float32 of shape (n, dim), unit rows."""
        growing = GrowingGraph()
        growing.add(vectors)
        return growing.done()

    @property
    def size_bytes(self) -> int:
        """See `VectorIndex.size_bytes`."""
        graph = self._index.hnsw
        return int(self._codes.nbytes + 4 * graph.neighbors.size() + 8 * graph.offsets.size())

    def __len__(self) -> int:
        return len(self._codes)

    def plan(self, k: int, selection: Selection | None = None) -> Plan:
        """See `VectorIndex.plan`."""
        return plan_graph(len(self), len(self) if selection is None else selection.count, k)

    def search(self, queries: Vectors, k: int, selection: Selection | None = None) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        plan = self.plan(k, selection)
        if plan.method == "subset" and selection is not None:
            return self._pick(queries, k, selection.rows)
        chosen = None if selection is None else selection.bitmap
        if plan.method != "graph":
            return _scan(self._storage, queries, k, chosen)
        scores, rows = self._walk(queries, k, chosen, plan.depth)
        short = np.flatnonzero(rows[:, min(k, plan.selected) - 1] < 0)
        if short.size:
            scores[short], rows[short] = _scan(self._storage, queries[short], k, chosen)
        return scores, rows

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`; float16 precision."""
        return np.asarray(self._storage.sa_decode(self._codes[rows]), dtype=np.float32)

    def write(self, write: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`."""
        _write(self._index, write)

    def copied(self) -> Any:
        """FAISS's index once more, for `GrowingGraph`."""
        import faiss

        return faiss.clone_index(self._index)

    def _walk(self, queries: Vectors, k: int, chosen: Any, depth: int) -> tuple[Scores, Rows]:
        import faiss

        parameters = None
        if chosen is not None or depth != SEARCH_DEPTH:  # making one costs as much as a tenth of a search
            parameters = faiss.SearchParametersHNSW(sel=chosen, efSearch=depth)
        scores, rows = self._index.search(queries, k, params=parameters)
        return scores, rows

    def _pick(self, queries: Vectors, k: int, selected: Rows) -> tuple[Scores, Rows]:
        found = queries @ self.vectors(selected).T  # (q, selected)
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        return _padded(np.take_along_axis(found, order, axis=1), selected[order], k)


class GrowingGraph:
    """A graph that takes rows until it is done; nobody searches it before.

    Args:
        base: begin with a copy of this; None begins with nothing.
    """

    def __init__(self, base: GraphIndex | None = None) -> None:
        self._index = None if base is None else base.copied()

    def add(self, vectors: Vectors) -> None:
        """Take float32 of shape (n, dim), unit rows; n is at least 1 the first time."""
        import faiss

        if self._index is None:
            self._index = faiss.index_factory(vectors.shape[1], "HNSW32,SQfp16", faiss.METRIC_INNER_PRODUCT)
            self._index.train(vectors)
        self._index.hnsw.efConstruction = CONSTRUCTION_DEPTH
        self._index.add(vectors)

    def done(self) -> GraphIndex:
        """The graph; nothing may be added any more."""
        return GraphIndex(self._index)


def read_index(path: Path) -> VectorIndex:
    """Read what `VectorIndex.write` handed out.

    Args:
        path: a file whose checksum was right: FAISS trusts what it reads.

    Raises:
        ValueError: it holds another kind of index.
    """
    import faiss

    index = faiss.read_index(str(path))
    if isinstance(index, faiss.IndexFlatIP):
        return ExactIndex(index)
    if isinstance(index, faiss.IndexHNSWSQ):
        return GraphIndex(index)
    raise ValueError(f"file '{path}' holds {type(index).__name__}")


def _write(index: Any, write: Callable[[bytes], object]) -> None:
    import faiss

    faiss.write_index(index, faiss.PyCallbackIOWriter(write))


def _padded(scores: Scores, rows: Rows, k: int) -> tuple[Scores, Rows]:
    missing = ((0, 0), (0, k - scores.shape[1]))
    if not missing[1][1]:
        return scores, rows
    return np.pad(scores, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)


def _scan(index: Any, queries: Vectors, k: int, chosen: Any) -> tuple[Scores, Rows]:
    import faiss

    parameters = None if chosen is None else faiss.SearchParameters(sel=chosen)
    if len(queries) > 1:
        scores, rows = index.search(queries, k, params=parameters)
    else:
        with _one_thread():
            scores, rows = index.search(queries, k, params=parameters)
    return scores, rows


@contextmanager
def _one_thread() -> Iterator[None]:
    """FAISS would wake every thread to scan for one query, and wait for all of them."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


@cache
def _ready() -> None:
    """A forked child has none of the threads that OpenMP believes in, and would wait for them for ever."""
    import faiss

    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))
