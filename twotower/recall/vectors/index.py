"""The contract of every vector index: immutable, rows by number, never fewer results than there are matches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from twotower.recall.plan import Effort, Plan
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors.calibration import Calibration
from twotower.types import Scores, Vectors

Kind: TypeAlias = Literal["exact", "graph", "graph-8bit", "ivf-pq", "ivf-rabitq"]


class VectorIndex(Protocol):
    """Nearest rows by inner product."""

    @property
    def kind(self) -> Kind:
        """See `Choice`."""
        ...

    @property
    def size_bytes(self) -> int:
        """Memory of vectors, codes and graph."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """The measured recall; None for an exact index, or if it was not measured."""
        ...

    def __len__(self) -> int:
        """Number of rows, n."""
        ...

    def plan(self, k: int, selection: Selection | None = None, first: int = 1) -> Plan:
        """How `search` would answer."""
        ...

    def search(
        self, queries: Vectors, k: int, selection: Selection | None = None, first: int = 1
    ) -> tuple[Scores, Rows]:
        """Find the k nearest selected rows of each query: the first k of a ranking that does not depend on k.

        Args:
            queries: float32 of shape (q, dim), unit rows.
            k: at least 1.
            selection: of the n rows, or None for all rows.
            first: how many rows an approximate index finds at once, at least; see `blocks`.

        Returns:
            Inner products and rows, each of shape (q, k), best first, ties broken by the lower row;
            if fewer than k rows are selected, the rest has row -1. Never fewer than min(k, selected rows), never
            a row that is not selected.
        """
        ...

    def comparable(self) -> VectorIndex:
        """The same index with scores that equal those of another kind of index for equal vectors, to the last bit."""
        ...

    def vectors(self, rows: Rows) -> Vectors:
        """The stored vectors of m rows, float32 of shape (m, dim)."""
        ...

    def write(self, sink: Callable[[bytes], object], /) -> None:
        """Serialise the FAISS index to a sink, block by block, for `read_index`."""
        ...


@runtime_checkable
class Tunable(VectorIndex, Protocol):
    """An approximate index, whose recall rises with its search effort."""

    @property
    def default_effort(self) -> Effort:
        """The search effort of an index that was not calibrated."""
        ...

    def efforts_to_try(self) -> Iterator[Effort]:
        """The search efforts to calibrate with, the cheapest first."""
        ...

    def with_effort(self, effort: Effort, calibration: Calibration | None) -> Tunable:
        """The same index with another search effort."""
        ...
