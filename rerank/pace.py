"""How long reading takes, from how long it took."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np

from rerank.tokens import Pair

REMEMBERED = 32
CAUTION = 90  # the percentile of what was measured that is reckoned with
FIRST = 4  # pairs of a portion whose time nobody knows yet
AGAIN = 25  # every so often one pair is read although it seems too slow: it may have been a hiccup
OVERHEAD = 24  # letters that a pair counts beside its own: what it costs to have one more


class Pace:
    """Seconds a letter of the last portions that were read; threads may share it."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._is_warm = False
        self._refused = 0
        self._lock = Lock()

    def measured(self, pairs: Sequence[Pair], seconds: float) -> None:
        """So long these pairs have taken; the first time, which opens the model, does not count."""
        if pairs:
            with self._lock:
                if self._is_warm:
                    self._seconds.append(seconds / sum(map(_letters, pairs)))
                self._is_warm = True

    def affordable(self, pairs: Iterable[Pair], left: float, planned: float) -> int:
        """How many of the first pairs to read now.

        Args:
            pairs: those that wait.
            left: seconds in which one more pair must be read, or none is.
            planned: seconds to fill, less than `left`.
        """
        with self._lock:
            seconds = float(np.percentile(self._seconds, CAUTION)) if self._seconds else None
        if seconds is None:
            return FIRST if left > 0 else 0
        count, letters = 0, 0
        for pair in pairs:
            letters += _letters(pair)
            if letters * seconds > (planned if count else left):
                break
            count += 1
        with self._lock:
            self._refused = 0 if count or left <= 0 else self._refused + 1
            return 1 if self._refused and self._refused % AGAIN == 0 else count


def _letters(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1]) + OVERHEAD
