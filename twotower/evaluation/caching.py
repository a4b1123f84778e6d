"""Score each pair once when several stages ask for the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twotower.types import Reranker


class CachingReranker:
    """A reranker that remembers every score.

    Args:
        reranker: scores the pairs that are new.
    """

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self._scores: dict[tuple[str, str], float] = {}

    def score(self, pairs: Sequence[tuple[str, str]], /) -> NDArray[np.float32]:
        """Scores in [0, 1], float32 of shape (pairs,)."""
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self._scores]
        self._scores.update(zip(new, self._reranker.score(new).tolist(), strict=True))
        return np.array([self._scores[pair] for pair in pairs], dtype=np.float32)
