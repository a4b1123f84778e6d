"""Which index is right for how many vectors, and what it will cost, before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from twotower.recall.vectors.graph import LINKS
from twotower.recall.vectors.index import Kind
from twotower.recall.vectors.lists import list_count

EXACT_UP_TO = 20_000  # rows; below, an exhaustive scan is as fast as a graph and exact
GRAPH_UP_TO = 2_000_000  # rows; above, a graph takes too long to build
CODES_ABOVE = 10_000  # rows; below, centroids cannot be trained and nothing is saved
BESIDE = 0.05  # of all rows: how many a graph may hold that is beside the index, before they move into it
LINK_BYTES = 8 * LINKS + 16  # of a row of a graph: 2 M links below, few above
ROW_BYTES = 8  # a row's number in a list
RABITQ_FACTORS = 8  # bytes beside the bits of a row
PADDING = 16  # rows that a list has room for beyond those that it has, on average: codes come in blocks of 32
CENTROIDS = 16  # of a subspace of a product code


@dataclass(frozen=True, slots=True)
class Choice:
    """An index that might be built.

    Args:
        kind: "exact", vectors in single precision; "graph", HNSW over half precision; "graph-8bit", HNSW over bytes;
            "ivf-pq", inverted lists of product codes of 2 bits a dimension; "ivf-rabitq", of 1 bit a dimension. The
            last three rank what they find once more by half-precision vectors on the disk.
        memory_bytes: what it takes in memory, with a graph of the newest rows beside it (`BESIDE`). While it is built
            the one that it replaces is there, too.
        disk_bytes: what it reads from the disk while it is searched.
        fits: whether that is within the memory that is allowed.
    """

    kind: Kind
    memory_bytes: int
    disk_bytes: int
    fits: bool


@dataclass(frozen=True, slots=True)
class IndexPolicy:
    """What an index of vectors shall achieve; which one that takes is chosen each time one is built.

    Args:
        recall: the share of the 10 nearest vectors that a search finds on average, in (0, 1]; 1 always compares
            with all of them.
        memory_bytes: of vectors, codes and graph of all items; None for no limit.
        exact_up_to: up to so many items search is exhaustive.

    Raises:
        ValueError: a number is out of its range.
    """

    recall: float = 0.99
    memory_bytes: int | None = None
    exact_up_to: int = EXACT_UP_TO

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise ValueError(f"recall={self.recall} must be a share in (0, 1]")
        if self.memory_bytes is not None and self.memory_bytes < 1:
            raise ValueError(f"memory_bytes={self.memory_bytes} must be at least 1, or None for no limit")
        if self.exact_up_to < 0:
            raise ValueError(f"exact_up_to={self.exact_up_to} must be at least 0")

    @property
    def exact_limit(self) -> float:
        """Up to how many items search is exhaustive."""
        return math.inf if self.recall == 1 else self.exact_up_to

    def choose(self, rows: int, dim: int) -> Choice:
        """The first that fits, or the smallest.

        Args:
            rows: how many vectors.
            dim: their length.
        """
        if rows <= self.exact_limit:
            kinds: list[Kind] = ["exact"]
        elif rows <= CODES_ABOVE:
            kinds = ["graph"]
        elif rows <= GRAPH_UP_TO:
            kinds = ["graph", "graph-8bit", "ivf-pq", "ivf-rabitq"]
        else:
            kinds = ["ivf-pq", "ivf-rabitq"]
        choices = [self._of(kind, rows, dim) for kind in kinds]
        return next((choice for choice in choices if choice.fits), choices[-1])

    def describe(self) -> dict[str, Any]:
        """As plain JSON values, for `from_description`."""
        return asdict(self)

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> IndexPolicy:
        """What `describe` described."""
        return cls(**description)

    def _of(self, kind: Kind, rows: int, dim: int) -> Choice:
        beside = 0 if kind == "exact" else estimate_bytes("graph", int(BESIDE * rows), dim)
        memory = estimate_bytes(kind, rows, dim) + beside
        disk = 0 if kind in ("exact", "graph") else 2 * rows * dim
        return Choice(kind, memory, disk, self.memory_bytes is None or memory <= self.memory_bytes)


def estimate_bytes(kind: Kind, rows: int, dim: int) -> int:
    """Memory of an index of vectors.

    Args:
        kind: see `Choice`.
        rows: how many vectors.
        dim: their length.
    """
    if kind == "exact":
        return rows * 4 * dim
    if kind in ("graph", "graph-8bit"):
        return rows * (LINK_BYTES + (2 * dim if kind == "graph" else dim))
    lists = list_count(rows)
    code = math.ceil(dim / 4) if kind == "ivf-pq" else math.ceil(dim / 8) + RABITQ_FACTORS
    return rows * ROW_BYTES + (rows + PADDING * lists) * code + 4 * dim * (lists + CENTROIDS)
