"""Raw FAISS beside our index: the same graph, its own walk under a filter, and a flat index with a list of rows."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from benchmarks.common.vectors import SELECTIVITIES, K, Points, exact, recall_at_k
from benchmarks.recall.system import ALL, Search, Share, VectorSearch, faiss_rows, filtered
from benchmarks.recall.systems import index_params, native_index
from twotower.recall.selection import Mask, Selection
from twotower.recall.vectors.graph import SEARCH_DEPTH
from twotower.recall.vectors.index import VectorIndex

LIST_UP_TO = 0.01  # share of allowed rows up to which a list of rows is shorter than a scan of all
WALKED = {0.5: 0.99, 0.1: 0.99, 0.01: 0.95, 0.001: 0.95}  # recall@10 that "faiss-walk" must reach


def raw_faiss(index: VectorIndex, points: Points) -> VectorSearch:
    """FAISS's own calls on the retriever's own FAISS index, with the retriever's depth; scores and rows out.

    It does less than the retriever: no hits, no items, and k neighbours where the retriever fetches a few more to
    break ties. Under a filter it makes the choice that our index makes (a deeper walk, or a scan where few rows
    pass) with a bitmap that is ready, so that the difference is overhead and not strategy.
    """
    native, queries = native_index(index), points.queries
    graph = isinstance(native, faiss.IndexHNSW)

    def under(share: Share) -> Search:
        allowed = points.allowed(share)
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
    return VectorSearch(
        "faiss",
        index_params(index),
        {ALL: lambda row: native.search(queries[row : row + 1], K, params=usual), **filtered(under)},
        rows=faiss_rows,
        batch=lambda part: native.search(queries[part], K, params=usual),
    )


def faiss_walk(index: VectorIndex, points: Points, count: int) -> list[VectorSearch]:
    """FAISS's graph under a bitmap, as deep as `WALKED` requires: what FAISS does by itself; none without a graph.

    The first `count` queries choose the depth, the smallest power of two that suffices.
    """
    native = native_index(index)
    if not isinstance(native, faiss.IndexHNSW):
        return []
    asked = points.queries[:count]
    depths = {}

    def under(share: Share) -> Search:
        allowed = points.allowed(share)
        selector, truth = _bitmap(allowed), exact(points.items, asked, K, allowed)
        depth = SEARCH_DEPTH
        while True:
            walk = faiss.SearchParametersHNSW(sel=selector, efSearch=depth)
            found = faiss_rows(native.search(asked, K, params=walk))
            if depth >= points.size or recall_at_k(found, truth) >= WALKED[share]:
                break
            depth *= 2
        depths[share] = depth
        return lambda row: native.search(points.queries[row : row + 1], K, params=walk)

    searches = filtered(under)
    deep = ", ".join(f"{100 * share:g} %: {depth}" for share, depth in depths.items())
    return [VectorSearch("faiss-walk", {**index_params(index), "ef_search": deep}, searches, rows=faiss_rows)]


def faiss_array(points: Points) -> VectorSearch:
    """FAISS's fastest way to few rows: a second, flat float32 index, with the list of rows ready."""
    flat, queries = faiss.IndexFlatIP(points.dim), points.queries
    flat.add(points.items)

    def under(share: Share) -> Search:
        selector = faiss.IDSelectorArray(np.flatnonzero(points.allowed(share)))
        parameters = faiss.SearchParameters(sel=selector)
        return lambda row: flat.search(queries[row : row + 1], K, params=parameters)

    few = [share for share in SELECTIVITIES if share <= LIST_UP_TO]
    params = {"index": "Flat", "dtype": "float32"}
    return VectorSearch("faiss-array", params, filtered(under, few), rows=faiss_rows)


def _bitmap(allowed: Mask) -> Any:
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
