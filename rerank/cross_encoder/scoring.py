"""Logits of pairs: every distinct pair is computed once, and recently computed ones are remembered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.model import Model
from rerank.cross_encoder.score_cache import ScoreCache
from rerank.cross_encoder.tokens import Pair
from rerank.cross_encoder.truncation import TruncationCounter
from rerank.errors import NotFiniteError
from rerank.serving.backend import BackendName


class PairScorer:
    """What a reranker computes logits with. Thread-safe.

    Args:
        model: the cross-encoder.
        name: of the model, for messages.
        cache_pairs: how many pairs are remembered; 0 remembers none.
    """

    def __init__(self, model: Model, name: str, cache_pairs: int) -> None:
        self._model = model
        self._name = name
        self._cache = ScoreCache(cache_pairs)
        self._truncations = TruncationCounter()

    @property
    def truncated(self) -> int:
        """How many pairs have been truncated so far."""
        return self._truncations.count

    def logits(self, pairs: Sequence[Pair], backend: BackendName) -> NDArray[np.float32]:
        """Logits in the order of the pairs, float32, shape (n,).

        Args:
            pairs: n normalized pairs; one that occurs twice is computed once.
            backend: what computes them.

        Raises:
            NotFiniteError: the network computed NaN; and whatever opening the model raises.
        """
        distinct = list(dict.fromkeys(pairs))
        version = self._cache.model_version
        known = self._cache.get(distinct)
        fresh = self._compute([pair for pair in distinct if pair not in known], backend)
        self._cache.put(fresh, version)
        known |= fresh
        return np.array([known[pair] for pair in pairs], dtype=np.float32)

    def forget(self) -> None:
        """Clear the cache, because the model or its back end has changed."""
        self._cache.clear()

    def _compute(self, pairs: Sequence[Pair], name: BackendName) -> dict[Pair, float]:
        """The logits of distinct pairs."""
        backend = self._model.backend(name)
        if not pairs:
            return {}
        encoded = backend.tokenize(pairs)
        self._truncations.add(encoded, stacklevel=5)  # the caller of `score`
        logits = backend.logits(encoded)
        if np.isnan(logits).any():
            query, document = pairs[int(np.flatnonzero(np.isnan(logits))[0])]
            raise NotFiniteError(f"{self._name} gave NaN for the pair ({query[:80]!r}, {document[:80]!r})")
        return dict(zip(pairs, logits.tolist(), strict=True))
