"""Counts the pairs that were truncated, and warns about the first ones."""

from __future__ import annotations

import warnings
from threading import Lock

from rerank.cross_encoder.tokens import EncodedPairs


class TruncationWarning(UserWarning):
    """A reranker was given pairs that are longer than it can read."""


class TruncationCounter:
    """How many pairs have been truncated so far. Thread-safe."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = Lock()

    def add(self, encoded: EncodedPairs, *, stacklevel: int = 2) -> None:
        """Count the truncated pairs among these, and warn the first time there are any.

        Args:
            encoded: pairs that are about to be computed.
            stacklevel: as in `warnings.warn`, counted from the caller.
        """
        truncated = int(encoded.truncated.sum())
        with self._lock:
            is_first = truncated > 0 and not self.count
            self.count += truncated
        if is_first:
            limit = int(encoded.lengths[encoded.truncated].max())
            warnings.warn(
                f"{truncated:,} of {len(encoded.truncated):,} pairs are longer than max_length, {limit} tokens: the "
                "end of their candidate texts was not read. Put what matters most first, or use a model that reads "
                "longer texts. This warning is shown once; `truncated` keeps counting.",
                TruncationWarning,
                stacklevel=stacklevel + 1,
            )
