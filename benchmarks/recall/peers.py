"""hnswlib and usearch, with the parameters of our graph."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.vectors import SELECTIVITIES, K, Points, allowed_rows, graph_depths, hnswlib_index
from benchmarks.recall.system import ALL, Share, VectorSearch
from twotower.recall.vectors.graph import CONSTRUCTION_DEPTH, LINKS, SEARCH_DEPTH


def hnswlib_graph(
    points: Points, bucket: NDArray[np.int64], *, threads: int, seed: int
) -> list[VectorSearch]:
    """A graph of hnswlib with the same M and depths, over float32: it has no float16; none if not installed."""
    try:
        index = hnswlib_index(points.table.shape[1], points.size, seed)
    except ImportError:
        return _absent("hnswlib")
    index.add_items(points.items, num_threads=threads)
    queries = points.queries

    def under(share: Share) -> Callable[[int], Any]:
        # Its filter is a Python function, called for every row that the walk meets.
        allowed = allowed_rows(bucket, share)
        passes = allowed.tolist().__getitem__
        k = min(K, int(np.count_nonzero(allowed)))  # it raises if it cannot find as many as asked for

        def search(row: int) -> Any:
            try:
                return index.knn_query(queries[row], k, num_threads=1, filter=passes)
            except RuntimeError:  # raised when it met fewer than k rows that pass
                return np.zeros((1, 0), dtype=np.int64), None

        return search

    everything = {ALL: lambda row: index.knn_query(queries[row], K, num_threads=1)}
    system = VectorSearch(
        "hnswlib",
        {"index": f"HNSW{LINKS}", "dtype": "float32", **graph_depths()},
        everything | {share: under(share) for share in SELECTIVITIES},
        rows=lambda answer: answer[0].tolist(),
        batch=lambda part: index.knn_query(queries[part], K, num_threads=threads),
    )
    return [system]


def usearch_graph(points: Points, *, threads: int) -> list[VectorSearch]:
    """A graph of usearch with the same M, depths and float16; none if it is not installed.

    Its Python index takes no filter, so it has no filtered search.
    """
    try:
        from usearch.index import Index
    except ImportError:
        return _absent("usearch")
    index = Index(
        ndim=points.table.shape[1],
        metric="ip",
        dtype="f16",
        connectivity=LINKS,
        expansion_add=CONSTRUCTION_DEPTH,
        expansion_search=SEARCH_DEPTH,
    )
    index.add(np.arange(points.size, dtype=np.uint64), points.items, threads=threads)
    queries = points.queries
    system = VectorSearch(
        "usearch",
        {"index": f"HNSW{LINKS}", "dtype": "float16", **graph_depths()},
        {ALL: lambda row: index.search(queries[row], K, threads=1)},
        rows=lambda answer: np.atleast_2d(answer.keys).tolist(),
        batch=lambda part: index.search(queries[part], K, threads=threads),
    )
    return [system]


def _absent(package: str) -> list[VectorSearch]:
    print(f"{package} is not installed and left out: pip install {package}", file=sys.stderr)
    return []
