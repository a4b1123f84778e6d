"""How near two texts are by their characters alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.classification.data import Pair, folded


def jaccard(pairs: Sequence[Pair]) -> NDArray[np.float64]:
    """Character bigrams that both texts have over those that either has, in [0, 1], shape (n,)."""
    return np.array([_shared(_bigrams(query), _bigrams(title)) for query, title in pairs])


class TfIdf:
    """Cosine of the weights of characters and character bigrams, rarer ones weighing more.

    Args:
        texts: where their frequencies come from.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._weights = TfidfVectorizer(
            preprocessor=folded, analyzer="char", ngram_range=(1, 2), sublinear_tf=True
        ).fit(texts)

    def __call__(self, pairs: Sequence[Pair]) -> NDArray[np.float64]:
        """In [0, 1], shape (n,)."""
        first, second = (
            self._weights.transform(texts) for texts in zip(*pairs, strict=True)
        )  # (n, features)
        return np.asarray(first.multiply(second).sum(axis=1), dtype=np.float64).ravel()


def _bigrams(text: str) -> set[str]:
    text = folded(text)
    return {text[start : start + 2] for start in range(max(1, len(text) - 1))}


def _shared(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)
