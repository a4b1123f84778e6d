"""Scores that do not depend on the index or on the batch, and the best rows by them, every tie included.

BLAS and FAISS sum in an order that changes with the shape of the input, so the same pair of vectors scores a little
differently alone and in a batch. Their scores only select candidates here; what is returned and sorted by is summed
in double precision, one pair at a time, and rounded to single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.recall.selection import Rows
from twotower.types import Scores, Vectors

TIES = 16  # rows fetched beyond k, so that a single fetch usually includes every tie at the cut
ROUNDING = 1e-5  # larger than the error of a sum in single precision over a unit vector
GROWTH = 4
MAX_COMPONENTS = 1 << 22  # of vectors in double precision at a time

Find: TypeAlias = Callable[[Vectors, int], tuple[Scores, Rows]]
"""Finds rows for q queries: approximate scores and rows, both (q, fetch), best first, padded with row -1."""
Read: TypeAlias = Callable[[Rows], Vectors]
"""Reads vectors of rows, float32 of shape (*rows.shape, dim)."""


def inner_products(queries: Vectors, rows: Rows, read: Read) -> Scores:
    """The inner products of each query with its own rows, the same whatever else is in the batch.

    Args:
        queries: float32 of shape (q, dim).
        rows: shape (q, m); -1 where there is none.
        read: the vectors of rows.

    Returns:
        Shape (q, m); -inf for row -1.
    """
    precise = queries.astype(np.float64)[:, None]
    missing = rows < 0
    if has_missing := bool(missing.any()):
        rows = np.where(missing, 0, rows)
    step = max(1, MAX_COMPONENTS // max(1, rows.shape[1] * queries.shape[1]))
    blocks = [
        np.vecdot(read(rows[start : start + step]).astype(np.float64), precise[start : start + step])
        for start in range(0, max(1, len(rows)), step)
    ]
    products = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
    scores: Scores = products.astype(np.float32)
    if has_missing:
        scores[missing] = -np.inf
    return scores


def best_found(
    find: Find, read: Read, queries: Vectors, k: int, fetch: int, selected: int
) -> tuple[Scores, Rows]:
    """The k best of the rows that are found; more are found until none that ties with the last of them is left out.

    Args:
        find: by approximate scores.
        read: the vectors to score with.
        queries: float32 of shape (q, dim).
        k: at least 1.
        fetch: how many rows to find at first, at least k.
        selected: how many rows there are to find.

    Returns:
        Inner products and rows, each (q, k), ties broken by the lower row; padded with score -inf and row -1.
    """
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    open_queries = np.arange(len(queries) if selected else 0)
    while open_queries.size:
        approximate, found = find(queries[open_queries], min(fetch, selected))
        exact = inner_products(queries[open_queries], found, read)
        order = np.lexsort((found, -exact))[:, :k]
        width, places = order.shape[1], np.arange(len(order))[:, None]
        scores[open_queries, :width] = exact[places, order]
        rows[open_queries, :width] = found[places, order]
        if fetch >= selected:
            break
        last = np.where(found[:, -1] < 0, -np.inf, approximate[:, -1])
        cut = approximate[places[:, 0], order[:, -1]]
        open_queries = open_queries[last >= cut - ROUNDING]
        fetch *= GROWTH
    return scores, rows


def best_of_all(
    approximate: Scores, read: Read, query: Vectors, k: int, selected: Rows | None, *, error: float = ROUNDING
) -> tuple[Scores, Rows]:
    """The k best of all rows for one query.

    Args:
        approximate: scores of shape (m,).
        read: the vectors to score with.
        query: float32 of shape (dim,).
        k: at least 1.
        selected: the m rows, ascending; None if they are numbered from 0.
        error: the largest error of an approximate score.

    Returns:
        As `best_found`, for one query.
    """
    places = np.arange(len(approximate))
    if k < len(approximate):
        cut = np.partition(approximate, -k)[-k]
        places = np.flatnonzero(approximate >= cut - 2 * error)
    rows = places if selected is None else selected[places]
    step = max(k, MAX_COMPONENTS // len(query))
    exact = [
        inner_products(query[None], rows[None, start : start + step], read)[0]
        for start in range(0, max(1, len(rows)), step)
    ]
    return best(np.concatenate(exact)[None], rows[None], k)


def best(scores: Scores, rows: Rows, k: int) -> tuple[Scores, Rows]:
    """The k highest of m columns, ties broken by the lower row, padded to k with score -inf and row -1."""
    order = np.lexsort((rows, -scores))[:, :k]
    queries = np.arange(len(scores))[:, None]  # `take_along_axis` takes three times as long
    scores, rows = scores[queries, order], rows[queries, order]
    missing = ((0, 0), (0, k - scores.shape[1]))
    if not missing[1][1]:
        return scores, rows
    return np.pad(scores, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)


def in_half_precision(vectors: NDArray[np.float32]) -> Vectors:
    """The same vectors as an index of half precision keeps them."""
    return vectors.astype(np.float16).astype(np.float32)
