"""Scores of pairs that were asked for not long ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from threading import Lock

from rerank.tokens import Pair


class ScoreCache:
    """Logits by pair, of which those that nobody asks for again are forgotten.

    Its key is the hash of both texts, so an item that changes is scored anew. Two generations: the young one takes
    what is asked for, and is the old one when it is full. Threads may share it.

    Args:
        most: about how many pairs are remembered; 0 remembers nothing.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._young: dict[bytes, float] = {}
        self._old: dict[bytes, float] = {}
        self._epoch = 0  # of the model: what an older one computed must not come in
        self._lock = Lock()

    @property
    def epoch(self) -> int:
        """Goes up with each `clear`."""
        return self._epoch

    def among(self, pairs: Sequence[Pair]) -> dict[Pair, float]:
        """Those of these pairs that are remembered."""
        if not self._most:
            return {}
        keys = {pair: _key(pair) for pair in pairs}
        with self._lock:
            found = {
                pair: logit
                for pair, key in keys.items()
                if (logit := self._young.get(key, self._old.get(key))) is not None
            }
            self._keep({keys[pair]: logit for pair, logit in found.items()})
        return found

    def keep(self, logits: Mapping[Pair, float], epoch: int) -> None:
        """Remember the logits of some pairs, unless the model has changed since an epoch."""
        if self._most:
            fresh = {_key(pair): logit for pair, logit in logits.items()}
            with self._lock:
                if epoch == self._epoch:
                    self._keep(fresh)

    def clear(self) -> None:
        """The model is another one now."""
        with self._lock:
            self._young, self._old = {}, {}
            self._epoch += 1

    def _keep(self, logits: Mapping[bytes, float]) -> None:
        if 2 * len(self._young) > self._most:
            self._old, self._young = self._young, {}
        self._young.update(logits)


def _key(pair: Pair) -> bytes:
    query, document = (text.encode("utf-8", "surrogatepass") for text in pair)
    return blake2b(b"%d " % len(query) + query + document, digest_size=16).digest()
