"""The retriever and its index alone; hnswlib and usearch with the parameters of our graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common.contract import Params
from benchmarks.common.vectors import GRAPH, SELECTIVITIES, K, LookupEncoder, Points, cut, hnswlib_index
from benchmarks.recall.system import ALL, Search, Share, VectorSearch, faiss_rows, filtered
from twotower import IndexPolicy, Retriever
from twotower.recall.selection import Selection
from twotower.recall.vectors.graph import CONSTRUCTION_DEPTH, LINKS, SEARCH_DEPTH, GraphIndex
from twotower.recall.vectors.index import VectorIndex


def build_retriever(points: Points, exact_up_to: int) -> Retriever:
    """The engine as a user gets it, with all items in one upsert; queries are vectors, so recall is dense alone."""
    policy = IndexPolicy(exact_up_to=exact_up_to)
    retriever = Retriever(LookupEncoder(points.table), index=policy, hybrid=None)
    retriever.upsert(points.catalogue(), progress=False)
    retriever.maintenance.settle()
    return retriever


def whole_retriever(retriever: Retriever, points: Points) -> VectorSearch:
    """`Retriever.search`: planning, hits, explanations and items with their attributes included."""
    names = points.names

    def under(share: Share) -> Search:
        where = None if share == ALL else {"bucket": {"$lt": cut(share)}}
        return lambda row: [retriever.search(names[row], K, where=where)]

    return VectorSearch(
        "twotower",
        index_params(index_of(retriever)),
        filtered(under, (ALL, *SELECTIVITIES)),
        rows=lambda answer: [[int(hit.id) for hit in hits] for hits in answer],
        batch=lambda part: retriever.search_batch(names[part], K),
    )


def index_alone(index: VectorIndex, points: Points) -> VectorSearch:
    """Our index without the retriever around it, to show where the overhead lies; masks are ready."""
    queries = points.queries

    def under(share: Share) -> Search:
        selection = None if share == ALL else Selection(points.allowed(share))
        return lambda row: index.search(queries[row : row + 1], K, selection)

    return VectorSearch(
        "twotower-index",
        index_params(index),
        filtered(under, (ALL, *SELECTIVITIES)),
        rows=faiss_rows,
        batch=lambda part: index.search(queries[part], K),
    )


def index_of(retriever: Retriever) -> VectorIndex:
    """The only index of a retriever that was filled by one upsert.

    Reads private attributes, so that raw FAISS searches the very same graph and it is built once.
    """
    (part,) = retriever._corpus.snapshot.parts
    return part.segment.index


def native_index(index: VectorIndex) -> Any:
    """The FAISS index inside ours, which is private to it; see `index_of`."""
    return index.graph.native if isinstance(index, GraphIndex) else index._index  # type: ignore[attr-defined]


def index_params(index: VectorIndex) -> Params:
    """The parameters of an index of ours."""
    if isinstance(index, GraphIndex):
        return {**GRAPH, "dtype": "float16"}
    return {"index": "Flat", "dtype": "float32"}


def hnswlib_graph(points: Points, *, threads: int, seed: int) -> VectorSearch:
    """A graph of hnswlib with the same M and depths, over float32: it has no float16."""
    index = hnswlib_index(points.dim, points.size, seed)
    index.add_items(points.items, num_threads=threads)
    queries = points.queries

    def under(share: Share) -> Search:
        # Its filter is a Python function, called for every row that the walk meets.
        allowed = points.allowed(share)
        passes = allowed.tolist().__getitem__
        k = min(K, int(np.count_nonzero(allowed)))  # it raises if it cannot find as many as asked for

        def search(row: int) -> Any:
            try:
                return index.knn_query(queries[row], k, num_threads=1, filter=passes)
            except RuntimeError:  # raised when it met fewer than k rows that pass
                return np.zeros((1, 0), dtype=np.int64), None

        return search

    return VectorSearch(
        "hnswlib",
        {**GRAPH, "dtype": "float32"},
        {ALL: lambda row: index.knn_query(queries[row], K, num_threads=1), **filtered(under)},
        rows=lambda answer: answer[0].tolist(),
        batch=lambda part: index.knn_query(queries[part], K, num_threads=threads),
    )


def usearch_graph(points: Points, *, threads: int, seed: int) -> VectorSearch:
    """A graph of usearch with the same M, depths and float16; its Python index takes no filter, and no seed."""
    from usearch.index import Index

    depths = {"expansion_add": CONSTRUCTION_DEPTH, "expansion_search": SEARCH_DEPTH}
    index = Index(ndim=points.dim, metric="ip", dtype="f16", connectivity=LINKS, **depths)
    index.add(np.arange(points.size, dtype=np.uint64), points.items, threads=threads)
    queries = points.queries
    return VectorSearch(
        "usearch",
        {**GRAPH, "dtype": "float16"},
        {ALL: lambda row: index.search(queries[row], K, threads=1)},
        rows=lambda answer: np.atleast_2d(answer.keys).tolist(),
        batch=lambda part: index.search(queries[part], K, threads=threads),
    )
