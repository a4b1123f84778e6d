"""Seeded vectors that resemble a catalogue's, their true nearest neighbours, and an encoder that looks them up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.recall.selection import Mask, Rows
from twotower.recall.vectors.graph import CONSTRUCTION_DEPTH, LINKS, SEARCH_DEPTH
from twotower.types import Item, Vectors

K = 10
DIM = 384
CLUSTER = 200  # items of a cluster, on average
LATENT = 32  # directions in which clusters and items differ; real embeddings have few as well
BLOCK = 50_000  # rows made or indexed at a time
BUCKETS = 1_000  # the attribute "bucket" of an item is in [0, BUCKETS), each value equally often
SELECTIVITIES = (0.5, 0.1, 0.01, 0.001)
GRAPH = {
    "index": f"HNSW{LINKS}",
    "ef_construction": CONSTRUCTION_DEPTH,
    "ef_search": SEARCH_DEPTH,
}  # the peers' too


@dataclass(frozen=True)
class Points:
    """A corpus and queries from the same clusters."""

    table: Vectors  # float32 of shape (size + queries, dim), unit rows: the items, then the queries
    size: int  # number of items
    seed: int  # of the attribute that filters read

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return int(self.table.shape[1])

    @property
    def items(self) -> Vectors:
        """Float32 of shape (size, dim)."""
        return self.table[: self.size]

    @property
    def queries(self) -> Vectors:
        """Float32 of shape (queries, dim); none of them is an item."""
        return self.table[self.size :]

    @property
    def names(self) -> list[str]:
        """The text that `LookupEncoder` turns into each query's vector."""
        return [str(row) for row in range(self.size, len(self.table))]

    @cached_property
    def buckets(self) -> NDArray[np.int64]:
        """The attribute that filters read, shape (size,); it is independent of the vectors."""
        return np.random.default_rng(self.seed + 1).permutation(self.size) % BUCKETS

    def allowed(self, selectivity: float) -> Mask:
        """Rows that match the filter `bucket < cut(selectivity)`, shape (size,)."""
        return np.asarray(self.buckets < cut(selectivity), dtype=np.bool_)

    def catalogue(self) -> Iterator[Item]:
        """Small items: the row in the table as id, the same title for all, and the attribute that filters read."""
        for row, value in enumerate(self.buckets.tolist()):
            yield Item(str(row), "item", attributes={"bucket": value})


def cut(selectivity: float) -> int:
    """The bound of a filter on "bucket" that this share of the items matches."""
    return round(selectivity * BUCKETS)


def clustered(size: int, queries: int, *, seed: int, dim: int = DIM) -> Points:
    """Draw clusters of points in a space of few directions, with noise in all of them; queries are held out."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((LATENT, dim), dtype=np.float32) / np.float32(np.sqrt(LATENT))
    centres = rng.standard_normal((max(1, size // CLUSTER), LATENT), dtype=np.float32)
    table = np.empty((size + queries, dim), dtype=np.float32)
    for start in range(0, len(table), BLOCK):
        block = table[start : start + BLOCK]
        inner = centres[rng.integers(len(centres), size=len(block))]
        inner += np.float32(0.5) * rng.standard_normal(inner.shape, dtype=np.float32)
        block[:] = inner @ directions
        block += np.float32(0.3) * rng.standard_normal(block.shape, dtype=np.float32)
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return Points(table, size, seed)


class LookupEncoder:
    """An encoder that costs next to nothing: items and queries are row numbers of a table, shape (rows, dim)."""

    def __init__(self, table: Vectors) -> None:
        self._table = table
        self.dim = int(table.shape[1])

    def encode_items(self, items: Sequence[Item]) -> Vectors:
        """The rows that the items' ids name, float32 of shape (n, dim)."""
        return self._table[[int(item.id) for item in items]]

    def encode_queries(self, queries: Sequence[str]) -> Vectors:
        """The rows that the queries' words name, float32 of shape (n, dim)."""
        return self._table[[int(query) for query in queries]]


def exact(vectors: Vectors, queries: Vectors, k: int, allowed: Mask | None = None) -> Rows:
    """The k rows with the largest inner products, found by an exhaustive search in float32.

    The rows have shape (queries, k), best first, with -1 where fewer than k rows are allowed.
    """
    import faiss

    rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    index = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(rows), BLOCK):  # no second copy of all vectors
        index.add(vectors[rows[start : start + BLOCK]])
    places = np.asarray(index.search(np.ascontiguousarray(queries), k)[1], dtype=np.int64)
    return np.where(places < 0, -1, rows[places])


def recall_at_k(found: Sequence[Sequence[int]], truth: Rows) -> float:
    """Mean share of the true nearest that were found; `exact` has shape (queries, k), with at least one per query.

    A row found twice counts once, more than k are cut off, and rows below 0 count as nothing.
    """
    if len(found) != len(truth):
        raise ValueError(f"there are {len(found)} answers to {len(truth)} queries: answer each one")
    shares = []
    for answer, nearest in zip(found, truth, strict=True):
        true = {row for row in nearest.tolist() if row >= 0}
        shares.append(len(true.intersection(list(answer)[: len(nearest)])) / len(true))
    return float(np.mean(shares))


@contextmanager
def openmp_threads(threads: int) -> Iterator[None]:
    """Set FAISS's number of OpenMP threads for the calling thread; its setting is per thread."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def hnswlib_index(dim: int, capacity: int, seed: int) -> Any:
    """An empty hnswlib graph with our parameters, over float32: it has no float16."""
    import hnswlib

    index = hnswlib.Index(space="ip", dim=dim)
    index.init_index(capacity, M=LINKS, ef_construction=CONSTRUCTION_DEPTH, random_seed=seed)
    index.set_ef(SEARCH_DEPTH)
    return index
