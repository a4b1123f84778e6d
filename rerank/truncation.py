"""Pairs that lost some of their text: counted, and told of once."""

from __future__ import annotations

import warnings
from threading import Lock

from rerank.tokens import Tokens


class TruncationWarning(UserWarning):
    """A reranker met pairs that are longer than it can read."""


class Truncations:
    """How many pairs were cut so far; threads may share it."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = Lock()

    def saw(self, tokens: Tokens, *, stacklevel: int = 2) -> None:
        """Count the cut pairs among these; the first time that there are any, warn.

        Args:
            tokens: pairs that are about to be computed.
            stacklevel: as of `warnings.warn`, seen from the caller.
        """
        cut = int(tokens.cut.sum())
        with self._lock:
            is_first = cut > 0 and not self.count
            self.count += cut
        if is_first:
            limit = int(tokens.lengths[tokens.cut].max())
            warnings.warn(
                f"{cut:,} of {len(tokens.cut):,} pairs are longer than max_length, {limit} tokens: the end of their "
                "candidate texts was not read. Put first what matters most, or pass a model that reads more. "
                "This is said once; `truncated` goes on counting.",
                TruncationWarning,
                stacklevel=stacklevel + 1,
            )
