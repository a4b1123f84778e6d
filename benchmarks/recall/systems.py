"""The systems that `recall` compares: the retriever, raw FAISS over the retriever's own index, hnswlib, usearch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter
from benchmarks.common.vectors import (
    SELECTIVITIES,
    LookupEncoder,
    Points,
    allowed_rows,
    cut,
    exact,
    make_items,
    recall_at_k,
)
from twotower import IndexPolicy, Retriever
from twotower.recall.selection import Mask, Selection
from twotower.recall.vectors.graph import CONSTRUCTION_DEPTH, LINKS, SEARCH_DEPTH, GraphIndex
from twotower.recall.vectors.index import VectorIndex

K = 10
ARRAY_UP_TO = 0.01  # share of allowed rows up to which a list of rows is shorter than a scan of all

WALKED = {
    0.5: 0.99,
    0.1: 0.99,
    0.01: 0.95,
    0.001: 0.95,
}  # recall@10 that "faiss-walk" must reach, by selectivity

ALL = 1.0  # the selectivity of no filter
Share: TypeAlias = float


@dataclass(frozen=True, slots=True)
class System:
    """One way to search; an answer stays in the system's own form while time is taken.

    Args:
        name: its fixed name.
        params: what its index is.
        searches: by selectivity of the filter (`ALL` is none), what answers the query of a number.
        rows: the row numbers in an answer, best first, a list for each query that was asked.
        batch: answers a range of queries in one call; None where it is not compared.
    """

    name: str
    params: Mapping[str, Parameter]
    searches: Mapping[Share, Callable[[int], Any]]
    rows: Callable[[Any], Sequence[Sequence[int]]]
    batch: Callable[[slice], Any] | None = None


def build_retriever(points: Points, bucket: NDArray[np.int64], exact_up_to: int) -> Retriever:
    """The engine as a user gets it, with all items in one upsert."""
    retriever = Retriever(LookupEncoder(points.table), index=IndexPolicy(exact_up_to=exact_up_to))
    retriever.upsert(make_items(bucket), progress=False)
    retriever.maintenance.settle()
    return retriever


def twotower(retriever: Retriever, points: Points) -> System:
    """`Retriever.search`: planning, hits, explanations and items with their attributes included."""
    names = points.names

    def under(share: Share) -> Callable[[int], Any]:
        where = None if share == ALL else {"bucket": {"$lt": cut(share)}}
        return lambda row: [retriever.search(names[row], K, where=where)]

    return System(
        "twotower",
        _params(index_of(retriever)),
        {share: under(share) for share in (ALL, *SELECTIVITIES)},
        rows=lambda answer: [[int(hit.id) for hit in hits] for hits in answer],
        batch=lambda part: retriever.search_batch(names[part], K),
    )


def index_of(retriever: Retriever) -> VectorIndex:
    """The only index of a retriever that was filled by one upsert.

    Reads private attributes, so that raw FAISS searches the very same graph and it is built once.
    """
    (part,) = retriever._corpus.snapshot.parts
    return part.segment.index


def index_alone(index: VectorIndex, points: Points, bucket: NDArray[np.int64]) -> System:
    """Our index without the retriever around it, to show where the overhead sits; masks are ready."""
    queries = points.queries

    def under(share: Share) -> Callable[[int], Any]:
        selection = None if share == ALL else Selection(allowed_rows(bucket, share))
        return lambda row: index.search(queries[row : row + 1], K, selection)

    return System(
        "twotower-index",
        _params(index),
        {share: under(share) for share in (ALL, *SELECTIVITIES)},
        rows=_rows,
        batch=lambda part: index.search(queries[part], K),
    )


def raw_faiss(index: VectorIndex, points: Points, bucket: NDArray[np.int64]) -> System:
    """FAISS's own calls on the retriever's own FAISS index, scores and ids out.

    It does less than the retriever: no hits, no items, k neighbours where the retriever fetches some more to
    break ties. Under a filter it makes the choice that our index makes (a deeper walk, or a scan where few rows
    pass) with a bitmap that is ready, so that the difference is overhead and not strategy.
    """
    import faiss

    native = _native(index)
    graph = isinstance(native, faiss.IndexHNSW)
    queries = points.queries

    def under(share: Share) -> Callable[[int], Any]:
        allowed = allowed_rows(bucket, share)
        selector = _bitmap(allowed)
        plan = index.plan(K, Selection(allowed))
        if not graph or plan.method != "graph":
            flat = faiss.downcast_index(native.storage) if graph else native
            scan = faiss.SearchParameters(sel=selector)
            return lambda row: flat.search(queries[row : row + 1], K, params=scan)
        walk = faiss.SearchParametersHNSW(sel=selector, efSearch=plan.depth)
        return lambda row: native.search(queries[row : row + 1], K, params=walk)

    depth = index.plan(K).depth
    usual = faiss.SearchParametersHNSW(efSearch=depth) if graph and depth != native.hnsw.efSearch else None
    everything = {ALL: lambda row: native.search(queries[row : row + 1], K, params=usual)}
    return System(
        "faiss",
        _params(index),
        everything | {share: under(share) for share in SELECTIVITIES},
        rows=_rows,
        batch=lambda part: native.search(queries[part], K),
    )


def faiss_walk(index: VectorIndex, points: Points, bucket: NDArray[np.int64], queries: int) -> list[System]:
    """FAISS's graph under a bitmap, as deep as `WALKED` takes: what FAISS does by itself; none without a graph.

    Args:
        index: the retriever's own.
        points: the same that it indexes.
        bucket: what the filters read.
        queries: how many of the points' queries the depth is chosen with, the smallest power of two that will do.
    """
    import faiss

    native = _native(index)
    if not isinstance(native, faiss.IndexHNSW):
        return []
    asked = points.queries[:queries]
    depths = {}

    def under(share: Share) -> Callable[[int], Any]:
        allowed = allowed_rows(bucket, share)
        selector, truth = _bitmap(allowed), exact(points.items, asked, K, allowed)
        depth = SEARCH_DEPTH
        while True:
            walk = faiss.SearchParametersHNSW(sel=selector, efSearch=depth)
            if (
                depth >= points.size
                or recall_at_k(_rows(native.search(asked, K, params=walk)), truth) >= WALKED[share]
            ):
                break
            depth *= 2
        depths[share] = depth
        return lambda row: native.search(points.queries[row : row + 1], K, params=walk)

    searches = {share: under(share) for share in SELECTIVITIES}
    deep = ", ".join(f"{100 * share:g} %: {depth}" for share, depth in depths.items())
    return [System("faiss-walk", {**_params(index), "ef_search": deep}, searches, rows=_rows)]


def faiss_array(points: Points, bucket: NDArray[np.int64]) -> System:
    """FAISS's fastest way to few rows: a second, flat float32 index, and the list of rows ready."""
    import faiss

    flat = faiss.IndexFlatIP(points.table.shape[1])
    flat.add(points.items)
    queries = points.queries

    def under(share: Share) -> Callable[[int], Any]:
        selector = faiss.IDSelectorArray(np.flatnonzero(allowed_rows(bucket, share)))
        parameters = faiss.SearchParameters(sel=selector)
        return lambda row: flat.search(queries[row : row + 1], K, params=parameters)

    few = [share for share in SELECTIVITIES if share <= ARRAY_UP_TO]
    return System(
        "faiss-array",
        {"index": "Flat", "dtype": "float32"},
        {share: under(share) for share in few},
        rows=_rows,
    )


def hnswlib_graph(points: Points, bucket: NDArray[np.int64], *, threads: int, seed: int) -> list[System]:
    """A graph of hnswlib with the same M and depths, over float32: it has no float16; none if not installed."""
    try:
        import hnswlib
    except ImportError:
        return _absent("hnswlib")
    index = hnswlib.Index(space="ip", dim=points.table.shape[1])
    index.init_index(points.size, M=LINKS, ef_construction=CONSTRUCTION_DEPTH, random_seed=seed)
    index.add_items(points.items, num_threads=threads)
    index.set_ef(SEARCH_DEPTH)
    queries = points.queries

    def under(share: Share) -> Callable[[int], Any]:
        # Its filter is a Python function, called for every row that the walk meets.
        allowed = allowed_rows(bucket, share)
        passes = allowed.tolist().__getitem__
        k = min(K, int(np.count_nonzero(allowed)))  # it raises where it cannot find as many as asked for

        def search(row: int) -> Any:
            try:
                return index.knn_query(queries[row], k, num_threads=1, filter=passes)
            except RuntimeError:  # how it says that it met fewer than k rows that pass
                return np.zeros((1, 0), dtype=np.int64), None

        return search

    everything = {ALL: lambda row: index.knn_query(queries[row], K, num_threads=1)}
    system = System(
        "hnswlib",
        {"index": f"HNSW{LINKS}", "dtype": "float32", **_depths()},
        everything | {share: under(share) for share in SELECTIVITIES},
        rows=lambda answer: answer[0].tolist(),
        batch=lambda part: index.knn_query(queries[part], K, num_threads=threads),
    )
    return [system]


def usearch_graph(points: Points, *, threads: int) -> list[System]:
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
    system = System(
        "usearch",
        {"index": f"HNSW{LINKS}", "dtype": "float16", **_depths()},
        {ALL: lambda row: index.search(queries[row], K, threads=1)},
        rows=lambda answer: np.atleast_2d(answer.keys).tolist(),
        batch=lambda part: index.search(queries[part], K, threads=threads),
    )
    return [system]


def _native(index: VectorIndex) -> Any:
    """Our index's FAISS index, which is private to it; see `index_of`."""
    return index.graph.native if isinstance(index, GraphIndex) else index._index  # type: ignore[attr-defined]


def _params(index: VectorIndex) -> dict[str, Parameter]:
    import faiss

    if isinstance(_native(index), faiss.IndexHNSW):
        return {"index": f"HNSW{LINKS}", "dtype": "float16", **_depths()}
    return {"index": "Flat", "dtype": "float32"}


def _depths() -> dict[str, Parameter]:
    return {"ef_construction": CONSTRUCTION_DEPTH, "ef_search": SEARCH_DEPTH}


def _bitmap(allowed: Mask) -> Any:
    import faiss

    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _rows(answer: Any) -> list[list[int]]:
    """Of FAISS's pair of scores and rows."""
    return answer[1].tolist()


def _absent(package: str) -> list[System]:
    print(f"{package} is not installed and left out: pip install {package}", file=sys.stderr)
    return []
