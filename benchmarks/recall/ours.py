"""The retriever, and its index alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter
from benchmarks.common.vectors import (
    SELECTIVITIES,
    K,
    LookupEncoder,
    Points,
    allowed_rows,
    cut,
    graph_depths,
    make_items,
)
from benchmarks.recall.system import ALL, Share, VectorSearch, faiss_rows
from twotower import IndexPolicy, Retriever
from twotower.recall.selection import Selection
from twotower.recall.vectors.graph import LINKS, GraphIndex
from twotower.recall.vectors.index import VectorIndex


def build_retriever(points: Points, bucket: NDArray[np.int64], exact_up_to: int) -> Retriever:
    """The engine as a user gets it, with all items in one upsert; queries are vectors, so recall is dense alone."""
    policy = IndexPolicy(exact_up_to=exact_up_to)
    retriever = Retriever(LookupEncoder(points.table), index=policy, hybrid=None)
    retriever.upsert(make_items(bucket), progress=False)
    retriever.maintenance.settle()
    return retriever


def whole_retriever(retriever: Retriever, points: Points) -> VectorSearch:
    """`Retriever.search`: planning, hits, explanations and items with their attributes included."""
    names = points.names

    def under(share: Share) -> Callable[[int], Any]:
        where = None if share == ALL else {"bucket": {"$lt": cut(share)}}
        return lambda row: [retriever.search(names[row], K, where=where)]

    return VectorSearch(
        "twotower",
        index_params(index_of(retriever)),
        {share: under(share) for share in (ALL, *SELECTIVITIES)},
        rows=lambda answer: [[int(hit.id) for hit in hits] for hits in answer],
        batch=lambda part: retriever.search_batch(names[part], K),
    )


def index_alone(index: VectorIndex, points: Points, bucket: NDArray[np.int64]) -> VectorSearch:
    """Our index without the retriever around it, to show where the overhead lies; masks are ready."""
    queries = points.queries

    def under(share: Share) -> Callable[[int], Any]:
        selection = None if share == ALL else Selection(allowed_rows(bucket, share))
        return lambda row: index.search(queries[row : row + 1], K, selection)

    return VectorSearch(
        "twotower-index",
        index_params(index),
        {share: under(share) for share in (ALL, *SELECTIVITIES)},
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


def index_params(index: VectorIndex) -> dict[str, Parameter]:
    """The parameters of an index of ours."""
    if isinstance(index, GraphIndex):
        return {"index": f"HNSW{LINKS}", "dtype": "float16", **graph_depths()}
    return {"index": "Flat", "dtype": "float32"}
