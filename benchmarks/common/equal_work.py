"""Equal work: two systems are compared only if they give the same answers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-4


class UnequalWorkError(RuntimeError):
    """A peer computed something else than we did, so its time says nothing about ours."""


def require_equal_scores(ours: NDArray[np.float32], peer: NDArray[np.float32], name: str) -> None:
    """Check that a peer gives the same scores in [0, 1] to the same pairs, each of shape (n,).

    An untrained head gives all pairs nearly one score, so the tolerance also shrinks with the spread of the scores.

    Raises:
        UnequalWorkError: a score differs by more than 1e-4 or 2 % of the scores' standard deviation.
    """
    tolerance = min(TOLERANCE, 0.02 * float(np.std(ours))) if len(ours) > 1 else TOLERANCE
    apart = float(np.abs(ours - peer).max()) if ours.shape == peer.shape else np.inf
    if not apart <= tolerance:  # NaN too
        raise UnequalWorkError(
            f"{name} gave scores up to {apart:.2g} from ours for the same pairs: no fair peer"
        )


def cosines(ours: NDArray[np.float32], peer: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine of each row of one with the same row of the other, shape (n,); rows of unit length, shape (n, dim)."""
    found: NDArray[np.float32] = np.einsum("nd,nd->n", ours, peer)
    return found


def require_equal_vectors(ours: NDArray[np.float32], peer: NDArray[np.float32], name: str) -> None:
    """Check that a peer encodes the same inputs to the same vectors of unit length, each of shape (n, dim).

    Raises:
        UnequalWorkError: a cosine is 1e-4 or more below 1, or the peer's rows are not of unit length.
    """
    least = float(cosines(ours, peer).min()) if ours.shape == peer.shape else -1.0
    if not np.allclose(np.linalg.norm(peer, axis=1), 1, atol=TOLERANCE) or not least > 1 - TOLERANCE:
        raise UnequalWorkError(
            f"{name} gave vectors of cosine {least:.5f} to ours for one input: no fair peer"
        )
