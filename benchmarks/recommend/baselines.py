"""The baselines: random, popularity, the user's own frequencies, item-kNN, EASE, and implicit's ALS and BPR."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity
from threadpoolctl import threadpool_limits

from benchmarks.recommend.memory import Memory, Scores, Vector
from twotower.evaluation import Past


def random(items: int, seed: int) -> Scores:
    """A random order of the items for each user."""
    return lambda user, past: np.random.default_rng([seed, *user.encode()]).random(items)


def popular(counts: Vector) -> Scores:
    """The same scores for everybody, counted once before the split."""
    return lambda user, past: counts


def repeat(memory: Memory) -> Scores:
    """The number of the user's own baskets with each item up to the moment of prediction."""
    return lambda user, past: memory.counts(past.of(user), past.moment)


@dataclass
class RecentlyPopular:
    """Lines with each item in the last days before the moment of prediction; nothing is fitted.

    Events are kept by position, and no more of them are used than the past at hand has; so one object may be asked
    again at an earlier moment of the same history.
    """

    memory: Memory
    days: float
    _read: list[int] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)

    def __call__(self, user: str, past: Past) -> Vector:
        """Scores."""
        for event in past.since(len(self._read)):
            self._read.append(self.memory.rows[event.item])
            self._times.append(event.time.timestamp())
        begin = (past.moment - timedelta(days=self.days)).timestamp()
        start = bisect_left(self._times, begin, hi=len(past))
        return np.bincount(self._read[start : len(past)], minlength=len(self.memory.rows)).astype(np.float64)


def from_weights(memory: Memory, weights: NDArray[np.float64]) -> Scores:
    """Scores x @ weights, of the user's vector x at the moment of prediction and weights of shape (items, items)."""

    def scores(user: str, past: Past) -> Vector:
        vector = memory.newest(past.of(user), past.moment)
        (bought,) = np.nonzero(vector)
        return vector[bought] @ weights[bought]

    return scores


def item_knn(matrix: sparse.csr_matrix, neighbours: int) -> NDArray[np.float64]:
    """Cosine of every two items over users, for each item's nearest neighbours and itself; 0 for the others.

    Source: Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms". From shape (users,
    items) to (items, items), whose column j holds the items that j is scored by.
    """
    cosine: NDArray[np.float64] = cosine_similarity(matrix.T)
    if neighbours + 1 < len(cosine):
        least = np.partition(cosine, -(neighbours + 1), axis=0)[-(neighbours + 1)]
        cosine[cosine < least] = 0
    return cosine


def ease(matrix: sparse.csr_matrix, regularization: float) -> NDArray[np.float64]:
    """Item-to-item weights B that minimise |X - XB|^2 + regularization * |B|^2 with a diagonal of zeros.

    Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", equation 8. X has shape (users, items),
    B (items, items).
    """
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += regularization
    inverse = np.linalg.inv(gram)
    weights: NDArray[np.float64] = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def als(
    memory: Memory, matrix: sparse.csr_matrix, *, factors: int, confidence: float, seed: int, threads: int
) -> Scores:
    """Alternating least squares; a user's factors are solved anew from their past at the moment of prediction.

    `confidence` is implicit's alpha, of a weight of 1 against an unseen item.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    with threadpool_limits(1, "blas"):  # as implicit asks for, from the start: its own threads call BLAS
        model = AlternatingLeastSquares(
            factors, alpha=confidence, random_state=seed, num_threads=threads, dtype=np.float64
        )
        _fit(model, matrix)

    def scores(user: str, past: Past) -> Vector:
        vector = memory.newest(past.of(user), past.moment)
        if not vector.any():
            return vector
        own = model.recalculate_user(0, sparse.csr_matrix(vector, dtype=np.float32))
        return _product(model, np.squeeze(own))

    return scores


def bpr(users: list[str], matrix: sparse.csr_matrix, *, factors: int, seed: int) -> Scores:
    """Bayesian personalised ranking; factors of users stay as fitted, since implicit cannot update them.

    A user without a past at that time scores 0 everywhere. Only whether an entry of the users' rows is 0 counts. With
    a single thread the seed determines the result.
    """
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(factors, random_state=seed, num_threads=1)
    _fit(model, matrix)
    rows = {user: row for row, user in enumerate(users)}

    def scores(user: str, past: Past) -> Vector:
        row = rows.get(user)
        return np.zeros(matrix.shape[1]) if row is None else _product(model, model.user_factors[row])

    return scores


def _fit(model: Any, matrix: sparse.csr_matrix) -> None:
    with threadpool_limits(1, "blas"):
        model.fit(matrix.astype(np.float32), show_progress=False)


def _product(model: Any, own: NDArray[np.floating[Any]]) -> Vector:
    return np.asarray(model.item_factors @ own, dtype=np.float64)
