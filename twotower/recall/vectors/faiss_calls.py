"""The rules that every call of FAISS follows.

FAISS's own ids are never used (its IDMap loses or misreads filters, faiss 1.15), every call creates its own
SearchParameters (sharing them between threads crashes), and an index is never modified once it is built (searching
while adding kills the process).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from twotower.recall.selection import Rows
from twotower.types import Scores, Vectors


def search(index: Any, queries: Vectors, k: int, parameters: Any = None) -> tuple[Scores, Rows]:
    """Search an index exhaustively, with a single thread for a single query.

    FAISS would wake every thread for that query, and wait for all of them.
    """
    if len(queries) > 1:
        scores, rows = index.search(queries, k, params=parameters)
    else:
        with _one_thread():
            scores, rows = index.search(queries, k, params=parameters)
    return scores, rows


def write(index: Any, sink: Callable[[bytes], object]) -> None:
    """Serialise an index to a sink, block by block, for `faiss.read_index`."""
    import faiss

    faiss.write_index(index, faiss.PyCallbackIOWriter(sink))


@cache
def make_forks_safe() -> None:
    """Limit forked children to one thread: OpenMP would wait forever for threads that a fork does not copy."""
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
