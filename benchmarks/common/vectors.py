"""Seeded vectors that look like a catalogue's, what is truly nearest among them, and stand-ins for the encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twotower.recall.selection import Mask, Rows
from twotower.types import Item, Query, Vectors

DIM = 384
CLUSTER = 200  # items of a cluster, on average
LATENT = 32  # directions in which clusters and items differ; real embeddings have few as well
BLOCK = 50_000  # rows made at a time
BUCKETS = 1_000  # the attribute "bucket" of an item is in [0, BUCKETS), as often each
SELECTIVITIES = (0.5, 0.1, 0.01, 0.001)


@dataclass(frozen=True, slots=True)
class Points:
    """A corpus and queries from the same clusters.

    Args:
        table: float32 of shape (size + queries, dim), unit rows: the items, then the queries.
        size: number of items.
    """

    table: Vectors
    size: int

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
        """What to ask `LookupEncoder` for each query."""
        return [str(row) for row in range(self.size, len(self.table))]


def clustered(size: int, queries: int, *, seed: int, dim: int = DIM) -> Points:
    """Draw clusters of points in a space of few directions, with noise in all of them.

    Args:
        size: number of items.
        queries: number of queries, held out from the same clusters.
        seed: of all of it.
        dim: length of the vectors.
    """
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
    return Points(table, size)


def buckets(size: int, seed: int) -> NDArray[np.int64]:
    """The attribute that filters read, shape (size,); it has nothing to do with the vectors."""
    return np.random.default_rng(seed + 1).permutation(size) % BUCKETS


def allowed_rows(bucket: NDArray[np.int64], selectivity: float) -> Mask:
    """Rows that the filter `bucket < cut(selectivity)` lets through."""
    return np.asarray(bucket < cut(selectivity), dtype=np.bool_)


def cut(selectivity: float) -> int:
    """The bound of a filter on "bucket" that lets this share of the items through."""
    return round(selectivity * BUCKETS)


def make_items(bucket: NDArray[np.int64]) -> Iterator[Item]:
    """Small items: the row in the table as id, one title for all, and the attribute that filters read."""
    for row, value in enumerate(bucket.tolist()):
        yield Item(str(row), "item", attributes={"bucket": value})


class LookupEncoder:
    """An encoder that costs next to nothing: items and queries are row numbers of a table.

    Args:
        table: float32 of shape (rows, dim).
    """

    def __init__(self, table: Vectors) -> None:
        self._table = table
        self.dim = int(table.shape[1])

    def encode_items(self, items: Sequence[Item]) -> Vectors:
        """The rows that the items' ids name, float32 of shape (n, dim)."""
        return self._table[[int(item.id) for item in items]]

    def encode_queries(self, queries: Sequence[Query]) -> Vectors:
        """The rows that the queries' words name, float32 of shape (n, dim)."""
        return self._table[[int(query) for query in queries]]


def exact(vectors: Vectors, queries: Vectors, k: int, allowed: Mask | None = None) -> Rows:
    """The k rows with the largest inner products, found by an exhaustive search in float32.

    Args:
        vectors: float32 of shape (n, dim).
        queries: float32 of shape (q, dim).
        k: at least 1.
        allowed: bool of shape (n,); None allows all rows.

    Returns:
        Rows, shape (q, k), best first; -1 where fewer than k rows are allowed.
    """
    import faiss

    rows = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    index = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(rows), BLOCK):  # no second copy of all vectors
        index.add(vectors[rows[start : start + BLOCK]])
    places = np.asarray(index.search(np.ascontiguousarray(queries), k)[1], dtype=np.int64)
    return np.where(places < 0, -1, rows[places])


def recall_at_k(found: Sequence[Sequence[int]], truth: Rows) -> float:
    """Mean share of the true nearest that were found; a row found twice counts once.

    Args:
        found: for each of q queries at most k rows; more are cut off, rows below 0 count as nothing.
        truth: shape (q, k), as `exact` gives it, with at least one row of each query.
    """
    if len(found) != len(truth):
        raise ValueError(f"There are {len(found)} answers to {len(truth)} queries: answer each one.")
    shares = []
    for answer, nearest in zip(found, truth, strict=True):
        true = {row for row in nearest.tolist() if row >= 0}
        shares.append(len(true.intersection(list(answer)[: len(nearest)])) / len(true))
    return float(np.mean(shares))


def held_mb() -> float:
    """The memory that this process holds now, in MB (10**6 bytes); Linux only."""
    import resource

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6
