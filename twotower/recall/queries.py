"""Encoded queries: what recall searches by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twotower.types import Vectors


class EncodedQueries(NamedTuple):
    """q encoded queries, for recall and the reranker.

    Args:
        texts: the words of each query, possibly "".
        vectors: float32 of shape (q, dim), rows of unit length; zeros for a query without a vector.
        users: the part of `vectors` that comes from users' histories, same shape; None without users.
        readable: bool of shape (q,), whether the encoder understands the query; None if it cannot tell.
        known: bool of shape (q,), False where the vector is zeros; None if no vector is.
    """

    texts: Sequence[str]
    vectors: Vectors
    users: Vectors | None = None
    readable: NDArray[np.bool_] | None = None
    known: NDArray[np.bool_] | None = None

    def take(self, rows: Sequence[int]) -> EncodedQueries:
        """The queries in these rows."""
        return EncodedQueries(
            [self.texts[row] for row in rows],
            self.vectors[rows],
            None if self.users is None else self.users[rows],
            None if self.readable is None else self.readable[rows],
            None if self.known is None else self.known[rows],
        )

    def within(self, columns: slice) -> EncodedQueries:
        """The same queries restricted to some columns of the vectors; the ranking does not depend on their length."""
        mask = np.zeros(self.vectors.shape[1], dtype=np.float32)
        mask[columns] = 1
        vectors = self.vectors * mask
        users = None if self.users is None else self.users * mask
        return self._replace(vectors=vectors, users=users, known=np.asarray(vectors.any(axis=1)))
