"""Item-based models: neighbours by cosine, and EASE's closed-form ridge regression."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.recommend.memory import Memory, Scores
from twotower.evaluation.recommendation import Past


def from_weights(memory: Memory, weights: NDArray[np.float64]) -> Scores:
    """Scores x @ weights, of the user's vector x at the moment of prediction and weights of shape (items, items)."""

    def scores(user: str, past: Past) -> NDArray[np.float64]:
        vector = memory.newest(past.of(user), past.moment)
        (bought,) = np.nonzero(vector)
        return vector[bought] @ weights[bought]

    return scores


def item_knn(matrix: sparse.csr_matrix, neighbours: int) -> NDArray[np.float64]:
    """Cosine of every two items over users, for each item's nearest neighbours and itself; 0 for the others.

    Source: Sarwar et al. 2001, "Item-based collaborative filtering recommendation algorithms".

    Args:
        matrix: shape (users, items), at least 0.
        neighbours: of each item beside itself.

    Returns:
        Shape (items, items); column j holds the items that j is scored by.
    """
    lengths = np.sqrt(matrix.power(2).sum(axis=0)).A1
    unit = matrix @ sparse.diags_array(np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0))
    cosine: NDArray[np.float64] = (unit.T @ unit).toarray()
    if neighbours + 1 < len(cosine):
        least = np.partition(cosine, -(neighbours + 1), axis=0)[-(neighbours + 1)]
        cosine[cosine < least] = 0
    return cosine


def ease(matrix: sparse.csr_matrix, regularization: float) -> NDArray[np.float64]:
    """Item-to-item weights B that minimise |X - XB|^2 + regularization * |B|^2 with a diagonal of zeros.

    Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", equation 8.

    Args:
        matrix: X, shape (users, items).
        regularization: above 0.

    Returns:
        Shape (items, items).
    """
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += regularization
    inverse = np.linalg.inv(gram)
    weights: NDArray[np.float64] = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights
