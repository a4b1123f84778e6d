"""How long reading takes, from how long it took."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np

from rerank.tokens import Pair

REMEMBERED = 32
CAUTION = 90  # the percentile of how much longer it took than foreseen, which is reckoned with
SHARE = 0.6  # of the time left that is planned with at once: what the plan was wrong by is made up for later
FIRST = 4  # pairs of a portion whose time nobody knows yet
AGAIN = 25  # every so often one pair is read although it seems too slow: it may have been a hiccup
OVERHEAD = 24  # letters that a pair counts beside its own: what it costs to have one more


class Pace:
    """What a call costs, and a letter more, by the last portions that were read; threads may share it."""

    def __init__(self) -> None:
        self._portions: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)  # letters, seconds
        self._is_warm = False
        self._refused = 0
        self._lock = Lock()

    def measured(self, pairs: Sequence[Pair], seconds: float) -> None:
        """So long these pairs have taken; the first time, which opens the model, does not count."""
        if pairs:
            with self._lock:
                if self._is_warm:
                    self._portions.append((sum(map(_letters, pairs)), seconds))
                self._is_warm = True

    def affordable(self, pairs: Iterable[Pair], left: float) -> int:
        """How many of the first pairs to read now.

        Args:
            pairs: those that wait.
            left: seconds in which to be done.
        """
        with self._lock:
            portions = list(self._portions)
        if not portions:
            return FIRST if left > 0 else 0
        call, letter = _cost(portions)
        later = (1 - SHARE) * left
        is_last = later < 2 * call  # one call more would cost most of what is kept back for it
        planned = left if is_last else left - later
        count, letters = 0, 0
        for pair in pairs:
            letters += _letters(pair)
            if call + letters * letter > (planned if count else left):
                break
            count += 1
        with self._lock:
            self._refused = 0 if count or left <= 0 else self._refused + 1
            return 1 if self._refused and self._refused % AGAIN == 0 else count


def _cost(portions: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Seconds of a call and of each letter in it: neither below 0, and rather too much than too little.

    Non-negative least squares of the relative errors, in which one hiccup weighs no more than any other portion.
    With two unknowns the one that would be negative is 0. (SciPy's solver takes a second to import, of a budget.)
    """
    letters, seconds = np.array(portions).T
    seconds = np.maximum(seconds, 1e-9)
    parts = np.stack([1 / seconds, letters / seconds], axis=1)
    ones = np.ones(len(portions))
    kept = np.linalg.lstsq(parts, ones)[0] > 0
    cost = np.zeros(2)
    cost[kept] = np.linalg.lstsq(parts[:, kept], ones)[0]
    call, letter = cost * np.percentile(1 / (parts @ cost), CAUTION)
    return float(call), float(letter)


def _letters(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1]) + OVERHEAD
