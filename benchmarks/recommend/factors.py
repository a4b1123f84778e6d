"""Matrix factorisation by the library implicit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks.recommend.memory import Memory, Scores
from twotower.evaluation.recommendation import Past


def als(
    memory: Memory, matrix: sparse.csr_matrix, *, factors: int, confidence: float, seed: int, threads: int
) -> Scores:
    """Alternating least squares; a user's factors are solved anew from their past at the moment of prediction.

    Args:
        memory: how the past counts.
        matrix: shape (users, items), what item factors are fitted on.
        factors: length of the vectors.
        confidence: implicit's alpha, of a weight of 1 beside an unseen item.
        seed: of the initial factors.
        threads: of implicit.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    with threadpool_limits(1, "blas"):  # as implicit asks for: its own threads call BLAS
        model = AlternatingLeastSquares(
            factors, alpha=confidence, random_state=seed, num_threads=threads, dtype=np.float64
        )
        model.fit(matrix.astype(np.float32), show_progress=False)

    def scores(user: str, past: Past) -> NDArray[np.float64]:
        vector = memory.newest(past.of(user), past.moment)
        if not vector.any():
            return vector
        own = model.recalculate_user(0, sparse.csr_matrix(vector, dtype=np.float32))
        return _product(model, np.squeeze(own))

    return scores


def bpr(users: list[str], matrix: sparse.csr_matrix, *, factors: int, seed: int) -> Scores:
    """Bayesian personalised ranking; factors of users stay as fitted, since implicit cannot update them.

    Someone without a past when it was fitted scores 0 everywhere.

    Args:
        users: of the rows of `matrix`.
        matrix: shape (users, items); only whether it is 0 counts.
        factors: length of the vectors.
        seed: of the initial factors and of the samples; with a single thread it fixes the result.
    """
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    with threadpool_limits(1, "blas"):
        model = BayesianPersonalizedRanking(factors, random_state=seed, num_threads=1)
        model.fit(matrix.astype(np.float32), show_progress=False)
    rows = {user: row for row, user in enumerate(users)}

    def scores(user: str, past: Past) -> NDArray[np.float64]:
        row = rows.get(user)
        return np.zeros(matrix.shape[1]) if row is None else _product(model, model.user_factors[row])

    return scores


def _product(model: Any, own: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.asarray(model.item_factors @ own, dtype=np.float64)
