"""FAISS behind one small contract: immutable, rows are ordinals, never fewer results than there are matches.

FAISS's own ids are never used (its IDMap loses or misreads filters, faiss 1.15), every call makes its own
SearchParameters (sharing one between threads crashes), and an index is never changed once built (searching
while adding kills the process).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.types import Scores, Vectors

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

GRAPH_ABOVE = 20_000  # rows; below, an exhaustive scan is as fast as a graph and exact
CONSTRUCTION_DEPTH = 100
SEARCH_DEPTH = 64
EXACT_BELOW = 0.1  # share of allowed rows under which a graph walk misses matches and a scan is faster


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

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Scores, Rows]:
        """Find the k nearest allowed rows of each query.

        Args:
            queries: float32 of shape (q, dim), unit rows.
            k: at least 1.
            allowed: bool of shape (n,), or None for all rows.

        Returns:
            Inner products and rows, each (q, k), best first; where fewer than k rows are allowed, the rest has
            row -1. Never fewer than min(k, allowed rows), never a row that is not allowed.
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
        self._index = index

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
        return int(self._index.ntotal * self._index.code_size)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        return _scan(self._index, queries, k, allowed)

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`."""
        return _reconstruct(self._index, rows)

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

        self._index = index
        self._storage = faiss.downcast_index(index.storage)

    @classmethod
    def build(cls, vectors: Vectors) -> GraphIndex:
        """Index float32 of shape (n, dim), unit rows."""
        import faiss

        index = faiss.index_factory(vectors.shape[1], "HNSW32,SQfp16", faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = CONSTRUCTION_DEPTH
        index.train(vectors)
        index.add(vectors)
        return cls(index)

    @property
    def size_bytes(self) -> int:
        """See `VectorIndex.size_bytes`."""
        links = self._index.hnsw.neighbors.size() * 4 + self._index.hnsw.offsets.size() * 8
        return int(self._storage.ntotal * self._storage.code_size + links)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, queries: Vectors, k: int, allowed: Mask | None = None) -> tuple[Scores, Rows]:
        """See `VectorIndex.search`."""
        matches = len(self) if allowed is None else int(np.count_nonzero(allowed))
        share = matches / len(self)
        wanted = min(k, matches)
        # A graph has to visit about k / share rows to meet k allowed ones; past a tenth of all, a scan is cheaper.
        if (allowed is not None and share < EXACT_BELOW) or 10 * k >= matches:
            return _scan(self._storage, queries, k, allowed)
        scores, rows = self._walk(queries, k, allowed, share)
        short = np.flatnonzero((rows[:, :wanted] < 0).any(axis=1))
        if short.size:
            scores[short], rows[short] = _scan(self._storage, queries[short], k, allowed)
        return scores, rows

    def vectors(self, rows: Rows) -> Vectors:
        """See `VectorIndex.vectors`; float16 precision."""
        return _reconstruct(self._storage, rows)

    def write(self, write: Callable[[bytes], object], /) -> None:
        """See `VectorIndex.write`."""
        _write(self._index, write)

    def _walk(self, queries: Vectors, k: int, allowed: Mask | None, share: float) -> tuple[Scores, Rows]:
        import faiss

        depth = int(max(SEARCH_DEPTH, 2 * k) * min(4.0, share**-0.5))
        selector = None if allowed is None else _bitmap(allowed)
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=depth)
        scores, rows = self._index.search(queries, k, params=parameters)
        return scores, rows


def build_index(vectors: Vectors, *, graph_above: int = GRAPH_ABOVE) -> VectorIndex:
    """Choose by size: exact up to `graph_above` rows, a graph above.

    Args:
        vectors: float32 of shape (n, dim), unit rows.
        graph_above: number of rows.
    """
    make = ExactIndex.build if len(vectors) <= graph_above else GraphIndex.build
    return make(vectors)


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


def _scan(index: Any, queries: Vectors, k: int, allowed: Mask | None) -> tuple[Scores, Rows]:
    import faiss

    parameters = None if allowed is None else faiss.SearchParameters(sel=_bitmap(allowed))
    scores, rows = index.search(queries, k, params=parameters)
    return scores, rows


def _bitmap(allowed: Mask) -> Any:
    import faiss

    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _reconstruct(index: Any, rows: Rows) -> Vectors:
    if rows.size == 0:
        return np.zeros((0, index.d), dtype=np.float32)
    return np.ascontiguousarray(index.reconstruct_batch(rows.astype(np.int64)), dtype=np.float32)
