"""An index from vectors that come in pieces, and from the file that one was written to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
from twotower.recall.vectors.table import ROWS_PER_BLOCK, GrowingTable, VectorTable
from twotower.types import Vectors

MOST_MORE_LISTS = (
    1.5  # times those that an inverted index has: with more rows than are right for them it is made anew
)


def build_index(
    kind: Kind,
    pieces: Iterable[Vectors],
    *,
    base: VectorIndex | None = None,
    scratch: Path | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> VectorIndex | None:
    """Index the rows of several arrays, one behind the other.

    Args:
        kind: see `Choice`.
        pieces: float32 of shape (n, dim), unit rows; at least one row in all.
        base: an index that `may_grow`, whose rows come first.
        scratch: the folder for vectors that stay on the disk; None is the system's for temporary files.
        go_on: asked from time to time.

    Returns:
        None where it should not go on.
    """
    if kind == "exact":
        return ExactIndex.build(np.concatenate(list(pieces)))
    watched = _watched(pieces, go_on)
    try:
        if kind == "graph":
            return _graph(watched, base if isinstance(base, GraphIndex) else None)
        return _compressed(kind, watched, base if isinstance(base, CompressedIndex) else None, scratch, go_on)
    except _StoppedError:
        return None


def may_grow(base: VectorIndex, kind: Kind, rows: int) -> bool:
    """Whether an index of a kind with so many rows can be a copy of another that takes some more."""
    if base.kind != kind or kind == "exact":
        return False
    if isinstance(base, CompressedIndex) and isinstance(base.codes, InvertedLists):
        return list_count(rows) <= MOST_MORE_LISTS * int(base.codes.native.nlist)
    return True


def read_index(path: Path, kind: Kind, table: Path, calibration: Calibration | None) -> VectorIndex:
    """Read what `VectorIndex.write` handed out.

    Args:
        path: a file whose checksum was right: FAISS trusts what it reads.
        kind: of what was written.
        table: what `VectorTable.write` handed out, if the kind has a table; its checksum was right, too.
        calibration: of what was written.

    Raises:
        ValueError: the files hold something else.
    """
    import faiss

    index = faiss.read_index(str(path))
    made: Tunable
    if kind == "exact" and isinstance(index, faiss.IndexFlatIP):
        return ExactIndex(index)
    if kind == "graph" and isinstance(index, faiss.IndexHNSWSQ):
        made = GraphIndex(Graph(index))
    elif kind == "graph-8bit" and isinstance(index, faiss.IndexHNSWSQ):
        made = CompressedIndex(kind, Graph(index), VectorTable.read(table, index.d))
    elif kind in ("ivf-pq", "ivf-rabitq") and isinstance(index, faiss.IndexIVF):
        made = CompressedIndex(kind, InvertedLists(index), VectorTable.read(table, index.d))
    else:
        raise ValueError(f"file '{path}' holds {type(index).__name__}, which is not {kind}")
    return made if calibration is None else made.tuned(calibration.effort, calibration)


class _StoppedError(Exception):
    """Somebody does not want the index any more."""


def _watched(pieces: Iterable[Vectors], go_on: Callable[[], bool]) -> Iterator[Vectors]:
    for piece in pieces:
        if not go_on():
            raise _StoppedError
        yield piece


def _graph(pieces: Iterator[Vectors], base: GraphIndex | None) -> GraphIndex:
    import faiss

    index = None if base is None else faiss.clone_index(base.graph.native)
    for piece in pieces:
        if index is None:
            index = new_graph(piece.shape[1], "SQfp16")
            index.train(piece)
        index.hnsw.efConstruction = CONSTRUCTION_DEPTH
        index.add(piece)
    return GraphIndex(Graph(index))


def _compressed(
    kind: Kind,
    pieces: Iterator[Vectors],
    base: CompressedIndex | None,
    scratch: Path | None,
    go_on: Callable[[], bool],
) -> CompressedIndex:
    import faiss

    with GrowingTable(scratch) as growing:
        for piece in pieces if base is None else chain(base.table.pieces(), pieces):
            growing.add(piece)
        table = growing.done()
    index = _trained(kind, table) if base is None else faiss.clone_index(base.codes.native)
    for piece in _watched(table.pieces(start=index.ntotal), go_on):
        index.add(piece)
    return CompressedIndex(kind, (Graph if kind == "graph-8bit" else InvertedLists)(index), table)


def _trained(kind: Kind, table: VectorTable) -> Any:
    rows, dim = len(table), table.dim
    if kind == "graph-8bit":
        index, wanted = new_graph(dim, "SQ8"), ROWS_PER_BLOCK
    else:
        index = new_lists(dim, rows, "PQ" if kind == "ivf-pq" else "RaBitQ")
        wanted = TRAINING_ROWS * index.nlist
    drawn = np.random.default_rng(0).choice(rows, min(rows, wanted), replace=False)
    index.train(table.vectors(np.sort(drawn)))
    return index
