"""Rankings made of approximate searches, which begin the same however many rows are asked for.

A search that goes deeper for a larger k may also find other rows among the first, so that pages of growing k would
overlap. Here every k is answered by the same series of searches, for `first` rows, then for `GROWTH` times as many,
and so on; what a later one finds follows what the earlier ones found.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from twotower.recall.selection import Rows
from twotower.types import Scores, Vectors

GROWTH = 4


def block_for(k: int, first: int) -> int:
    """How many rows the last search finds if k rows are asked for."""
    size = first
    while size < k:
        size *= GROWTH
    return size


def search_in_blocks(
    search: Callable[[Vectors, int], tuple[Scores, Rows]], queries: Vectors, k: int, first: int, selected: int
) -> tuple[Scores, Rows]:
    """The first k rows of the ranking of each query.

    Args:
        search: finds a number of rows for q queries: scores and rows, best first.
        queries: float32 of shape (q, dim).
        k: at least 1.
        first: how many rows the first search finds.
        selected: how many rows there are to find.

    Returns:
        Scores and rows, each (q, k), ties broken by the lower row; padded with score -inf and row -1. A row that only
        a deeper search finds has a score below that of the last row before it.
    """
    size = min(first, selected)
    scores, rows = search(queries, size) if size else _nothing(len(queries))
    while size < min(k, selected):
        size = min(GROWTH * size, selected)
        scores, rows = _continued(scores, rows, *search(queries, size))
    if k <= size:
        return scores[:, :k], rows[:, :k]
    missing = ((0, 0), (0, k - size))
    return np.pad(scores, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)


def _nothing(queries: int) -> tuple[Scores, Rows]:
    return np.zeros((queries, 0), dtype=np.float32), np.zeros((queries, 0), dtype=np.int64)


def _continued(scores: Scores, rows: Rows, deeper_scores: Scores, deeper_rows: Rows) -> tuple[Scores, Rows]:
    """Rankings, followed by those rows of longer ones that are not in them."""
    known, size = rows.shape[1], deeper_rows.shape[1]
    for query in np.flatnonzero((deeper_rows[:, :known] != rows).any(axis=1)):
        new = np.flatnonzero(~np.isin(deeper_rows[query], rows[query]))[: size - known]
        below = np.nextafter(scores[query, -1], np.float32(-np.inf))
        late, found = np.minimum(deeper_scores[query, new], below), deeper_rows[query, new]
        order = np.lexsort((found, -late))
        deeper_scores[query] = np.concatenate([scores[query], late[order]])
        deeper_rows[query] = np.concatenate([rows[query], found[order]])
    return deeper_scores, deeper_rows
