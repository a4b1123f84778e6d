"""Building vector indexes: the kind that the policy chooses, from batches of vectors or from a file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from twotower.recall.vectors.calibration import Calibration
from twotower.recall.vectors.compressed import CompressedIndex
from twotower.recall.vectors.exact import ExactIndex
from twotower.recall.vectors.graph import CONSTRUCTION_DEPTH, Graph, GraphIndex, new_graph
from twotower.recall.vectors.index import Kind, Tunable, VectorIndex
from twotower.recall.vectors.lists import TRAINING_ROWS, InvertedLists, list_count, new_lists
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.vectors.table import ROWS_PER_BLOCK, GrowingTable, VectorTable
from twotower.recall.vectors.tuning import tune
from twotower.types import Vectors

MAX_LIST_GROWTH = (
    1.5  # an inverted index is rebuilt when the right number of lists is more than this many times its own
)
MAX_ROW_GROWTH = (
    1.25  # an index is recalibrated when it has more than this many times the rows of its calibration
)

logger = logging.getLogger(__name__)


class IndexBuilder:
    """Builds vector indexes as a policy demands.

    Args:
        dim: length of the vectors.
        policy: the recall and the memory that the indexes must keep to.
        scratch: the folder for vectors that stay on disk; None is the system's folder for temporary files.

    Attributes:
        queries: the queries that indexes are calibrated on, by kind; see `tune`.
    """

    def __init__(self, dim: int, policy: IndexPolicy, scratch: Path | None = None) -> None:
        self.policy = policy
        self.queries: Mapping[str, Vectors] = {}
        self._dim = dim
        self._scratch = scratch

    def kind_for(self, rows: int) -> Kind:
        """The kind of index for this many rows; logs a warning if not even the smallest fits into memory."""
        choice = self.policy.choose(rows, self._dim)
        if not choice.fits:
            logger.warning(
                "an index of %d vectors takes at least %d MB of memory, more than memory_bytes=%d",
                rows,
                choice.memory_bytes // 1_000_000,
                self.policy.memory_bytes,
            )
        return choice.kind

    def build(
        self,
        kind: Kind,
        vectors: Iterator[Vectors],
        base: VectorIndex | None,
        should_continue: Callable[[], bool],
    ) -> VectorIndex | None:
        """Build and calibrate an index: see `build_index`."""
        index = build_index(kind, vectors, base=base, scratch=self._scratch, should_continue=should_continue)
        if index is None:
            return None
        known = None if base is None else base.calibration
        if isinstance(index, Tunable) and known is not None and len(index) <= MAX_ROW_GROWTH * known.rows:
            return index.with_effort(known.effort, known)
        return self.calibrated(index)

    def calibrated(self, index: VectorIndex) -> VectorIndex:
        """The same index, with the search effort that reaches the policy's recall."""
        return tune(index, self.policy.recall, self.queries) if isinstance(index, Tunable) else index


def build_index(
    kind: Kind,
    batches: Iterable[Vectors],
    *,
    base: VectorIndex | None = None,
    scratch: Path | None = None,
    should_continue: Callable[[], bool] = lambda: True,
) -> VectorIndex | None:
    """Index batches of vectors, in order.

    Args:
        kind: see `Choice`.
        batches: float32 of shape (n, dim), unit rows; at least one row in all.
        base: an index that `can_extend` accepts; the new index holds its rows first.
        scratch: the folder for vectors that stay on disk; None is the system's folder for temporary files.
        should_continue: checked between batches; False cancels the build.

    Returns:
        The index; None if the build was cancelled.
    """
    if kind == "exact":
        return ExactIndex.build(np.concatenate(list(batches)))
    watched = _until_cancelled(batches, should_continue)
    try:
        if kind == "graph":
            return _graph(watched, base if isinstance(base, GraphIndex) else None)
        return _compressed(
            kind, watched, base if isinstance(base, CompressedIndex) else None, scratch, should_continue
        )
    except _CancelledError:
        return None


def can_extend(base: VectorIndex, kind: Kind, rows: int) -> bool:
    """Whether an index of this kind and size can be built by adding rows to a copy of `base`."""
    if base.kind != kind or kind == "exact":
        return False
    if isinstance(base, CompressedIndex) and isinstance(base.codes, InvertedLists):
        return list_count(rows) <= MAX_LIST_GROWTH * int(base.codes.native.nlist)
    return True


def read_index(path: Path, kind: Kind, table: Path, calibration: Calibration | None) -> VectorIndex:
    """Read an index that `VectorIndex.write` wrote.

    Args:
        path: the file, its checksum verified: FAISS trusts what it reads.
        kind: the kind of the index.
        table: the file that `VectorTable.write` wrote, its checksum verified; not read for kinds without a table.
        calibration: of the index.

    Raises:
        ValueError: the file holds another kind of index.
    """
    import faiss

    index = faiss.read_index(str(path))
    tunable: Tunable
    if kind == "exact" and isinstance(index, faiss.IndexFlatIP):
        return ExactIndex(index)
    if kind == "graph" and isinstance(index, faiss.IndexHNSWSQ):
        tunable = GraphIndex(Graph(index))
    elif kind == "graph-8bit" and isinstance(index, faiss.IndexHNSWSQ):
        tunable = CompressedIndex(kind, Graph(index), VectorTable.read(table, index.d))
    elif kind in ("ivf-pq", "ivf-rabitq") and isinstance(index, faiss.IndexIVF):
        tunable = CompressedIndex(kind, InvertedLists(index), VectorTable.read(table, index.d))
    else:
        raise ValueError(f"file '{path}' holds {type(index).__name__}, which is not {kind}")
    return tunable if calibration is None else tunable.with_effort(calibration.effort, calibration)


class _CancelledError(Exception):
    """The build was cancelled."""


def _until_cancelled(batches: Iterable[Vectors], should_continue: Callable[[], bool]) -> Iterator[Vectors]:
    for batch in batches:
        if not should_continue():
            raise _CancelledError
        yield batch


def _graph(batches: Iterator[Vectors], base: GraphIndex | None) -> GraphIndex:
    import faiss

    index = None if base is None else faiss.clone_index(base.graph.native)
    for batch in batches:
        if index is None:
            index = new_graph(batch.shape[1], "SQfp16")
            index.train(batch)
        index.hnsw.efConstruction = CONSTRUCTION_DEPTH
        index.add(batch)
    return GraphIndex(Graph(index))


def _compressed(
    kind: Kind,
    batches: Iterator[Vectors],
    base: CompressedIndex | None,
    scratch: Path | None,
    should_continue: Callable[[], bool],
) -> CompressedIndex:
    import faiss

    with GrowingTable(scratch) as growing:
        for batch in batches if base is None else chain(base.table.batches(), batches):
            growing.add(batch)
        table = growing.done()
    index = _trained(kind, table) if base is None else faiss.clone_index(base.codes.native)
    for batch in _until_cancelled(table.batches(start=index.ntotal), should_continue):
        index.add(batch)
    return CompressedIndex(kind, (Graph if kind == "graph-8bit" else InvertedLists)(index), table)


def _trained(kind: Kind, table: VectorTable) -> Any:
    rows, dim = len(table), table.dim
    if kind == "graph-8bit":
        index, samples = new_graph(dim, "SQ8"), ROWS_PER_BLOCK
    else:
        index = new_lists(dim, rows, "PQ" if kind == "ivf-pq" else "RaBitQ")
        samples = TRAINING_ROWS * index.nlist
    drawn = np.random.default_rng(0).choice(rows, min(rows, samples), replace=False)
    index.train(table.vectors(np.sort(drawn)))
    return index
