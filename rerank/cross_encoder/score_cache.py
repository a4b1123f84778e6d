"""A bounded cache of recently computed scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from threading import Lock

from cachetools import LRUCache

from rerank.cross_encoder.tokens import Pair


class ScoreCache:
    """Logits by pair; the least recently used are evicted first. Thread-safe.

    The key is a hash of both texts, so an item whose text changes is scored again.

    Args:
        max_pairs: how many pairs are remembered; 0 remembers none.
    """

    def __init__(self, max_pairs: int) -> None:
        self._logits: LRUCache[bytes, float] = LRUCache(max_pairs)
        self._model_version = 0
        self._lock = Lock()

    @property
    def model_version(self) -> int:
        """Increases with each `clear`; logits of an earlier version are not accepted."""
        return self._model_version

    def get(self, pairs: Sequence[Pair]) -> dict[Pair, float]:
        """The remembered logits among these pairs."""
        if not self._logits.maxsize:
            return {}
        keys = {pair: _key(pair) for pair in pairs}
        with self._lock:
            found = {pair: self._logits.get(key) for pair, key in keys.items()}
        return {pair: logit for pair, logit in found.items() if logit is not None}

    def put(self, logits: Mapping[Pair, float], model_version: int) -> None:
        """Remember logits, unless the model has changed since this version."""
        if not self._logits.maxsize:
            return
        hashed = {_key(pair): logit for pair, logit in logits.items()}
        with self._lock:
            if model_version == self._model_version:
                self._logits.update(hashed)

    def clear(self) -> None:
        """Forget everything, because the model has changed."""
        with self._lock:
            self._logits.clear()
            self._model_version += 1


def _key(pair: Pair) -> bytes:
    query, document = (text.encode("utf-8", "surrogatepass") for text in pair)
    return blake2b(b"%d " % len(query) + query + document, digest_size=16).digest()
