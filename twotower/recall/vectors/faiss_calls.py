"""How FAISS is called everywhere.

FAISS's own ids are never used (its IDMap loses or misreads filters, faiss 1.15), every call makes its own
SearchParameters (sharing one between threads crashes), and an index is never changed once built (searching
while adding kills the process).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from twotower.recall.selection import Rows
from twotower.types import Scores, Vectors


def search(index: Any, queries: Vectors, k: int, parameters: Any = None) -> tuple[Scores, Rows]:
    """Ask an index that looks at most of its rows, by one thread for one query.

    FAISS would wake every thread to scan for one query, and wait for all of them.
    """
    if len(queries) > 1:
        scores, rows = index.search(queries, k, params=parameters)
    else:
        with _one_thread():
            scores, rows = index.search(queries, k, params=parameters)
    return scores, rows


def padded(scores: Scores, rows: Rows, k: int) -> tuple[Scores, Rows]:
    """Score -inf and row -1 up to k columns."""
    missing = ((0, 0), (0, k - scores.shape[1]))
    if not missing[1][1]:
        return scores, rows
    return np.pad(scores, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)


def best(scores: Scores, rows: Rows, k: int) -> tuple[Scores, Rows]:
    """The k highest of m columns, the lower row first among equals, padded to k."""
    order = np.lexsort((rows, -scores))[:, :k]
    queried = np.arange(len(scores))[:, None]
    return padded(scores[queried, order], rows[queried, order], k)


def nearest(scores: Scores, rows: Rows, k: int) -> tuple[Scores, Rows]:
    """The k highest of the scores of m rows, padded to k; any of those that are equal at the cut.

    Args:
        scores: shape (q, m).
        rows: shape (m,).
        k: at least 1.
    """
    if scores.shape[1] <= k:
        return best(scores, np.broadcast_to(rows, scores.shape), k)
    columns = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return best(np.take_along_axis(scores, columns, axis=1), rows[columns], k)


def write(index: Any, sink: Callable[[bytes], object]) -> None:
    """Hand out a whole index in pieces, for `faiss.read_index`."""
    import faiss

    faiss.write_index(index, faiss.PyCallbackIOWriter(sink))


@cache
def make_forks_safe() -> None:
    """A forked child has none of the threads that OpenMP believes in, and would wait for them for ever."""
    import faiss

    os.register_at_fork(after_in_child=lambda: faiss.omp_set_num_threads(1))


@contextmanager
def _one_thread() -> Iterator[None]:
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
