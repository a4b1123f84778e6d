"""Which kind of index suits how many vectors, and what it will cost, before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from multimodal.checks import check_number, check_whole
from twotower.recall.vectors.graph import LINKS
from twotower.recall.vectors.index import Kind
from twotower.recall.vectors.lists import list_count

EXACT_UP_TO = 20_000  # rows; up to here an exhaustive scan is as fast as a graph, and exact
GRAPH_UP_TO = 2_000_000  # rows; above, a graph takes too long to build
CODES_ABOVE = 10_000  # rows; below, centroids cannot be trained and nothing is saved
SIDE_GRAPH_SHARE = (
    0.05  # of all rows: the most that a side graph holds before it is merged into the main index
)
LINK_BYTES = 8 * LINKS + 16  # per row of a graph: 2 M links on the bottom level, few above
ROW_BYTES = 8  # per row of a list: its number
RABITQ_FACTORS = 8  # bytes per row besides its bits
PADDING = 16  # unused rows per list on average: codes are stored in blocks of 32
CENTROIDS = 16  # per subspace of a product code


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind of index and its cost.

    Args:
        kind: "exact", vectors in single precision; "graph", HNSW over half precision; "graph-8bit", HNSW over bytes;
            "ivf-pq", inverted lists of product codes of 2 bits a dimension; "ivf-rabitq", of 1 bit a dimension. The
            last three rescore their candidates with half-precision vectors on disk.
        memory_bytes: of the index and of a side graph with the newest rows (`SIDE_GRAPH_SHARE`). While the index is
            built, the one that it replaces takes memory too.
        disk_bytes: of the vectors that searches read from disk.
        fits: whether the memory is within the limit.
    """

    kind: Kind
    memory_bytes: int
    disk_bytes: int
    fits: bool


@dataclass(frozen=True, slots=True)
class IndexPolicy:
    """The recall and memory that a vector index must keep to; its kind is chosen each time one is built.

    Args:
        recall: recall@10, the share of the 10 nearest vectors that a search finds on average, in (0, 1]; with 1
            search is always exhaustive.
        memory_bytes: the limit for vectors, codes and graphs of all items; None for no limit.
        exact_up_to: search is exhaustive up to this many items.

    Raises:
        ValueError: a number is out of its range.
    """

    recall: float = 0.99
    memory_bytes: int | None = None
    exact_up_to: int = EXACT_UP_TO

    def __post_init__(self) -> None:
        object.__setattr__(self, "recall", check_number("recall", self.recall, above=0, most=1))
        object.__setattr__(self, "exact_up_to", check_whole("exact_up_to", self.exact_up_to, least=0))
        if self.memory_bytes is not None:
            limit = int(check_number("memory_bytes", self.memory_bytes, least=1))
            object.__setattr__(self, "memory_bytes", limit)

    @property
    def exact_limit(self) -> float:
        """The number of items up to which search is exhaustive."""
        return math.inf if self.recall == 1 else self.exact_up_to

    def choose(self, rows: int, dim: int) -> Choice:
        """The first kind that fits into memory, or else the smallest.

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
        """Rebuild a policy from its description."""
        return cls(**description)

    def _of(self, kind: Kind, rows: int, dim: int) -> Choice:
        side_graph = 0 if kind == "exact" else estimate_bytes("graph", int(SIDE_GRAPH_SHARE * rows), dim)
        memory = estimate_bytes(kind, rows, dim) + side_graph
        disk = 0 if kind in ("exact", "graph") else 2 * rows * dim
        return Choice(kind, memory, disk, self.memory_bytes is None or memory <= self.memory_bytes)


def estimate_bytes(kind: Kind, rows: int, dim: int) -> int:
    """Estimate the memory of a vector index.

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
