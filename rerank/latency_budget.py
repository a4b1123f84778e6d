"""Predicts how many pairs can be read within a time budget, from how long recent calls took."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np

from rerank.cross_encoder.tokens import Pair

HISTORY = 32  # calls that the estimate is based on
SAFETY_PERCENTILE = 90  # of the ratio of actual to predicted time; predictions are scaled up to it
FIRST_SHARE = 0.6  # of the remaining time is planned at once; the rest makes up for a wrong prediction
FIRST_CALL_PAIRS = 4  # read in the first call, while nothing is known about the time it takes
RETRY_EVERY = 25  # refusals after which one pair is read anyway: the slow calls may have been a hiccup
PAIR_OVERHEAD = 24  # characters that every pair counts beyond its own: the cost of one more row


class LatencyEstimator:
    """The cost of a call and of each character in it, estimated from recent calls. Thread-safe."""

    def __init__(self) -> None:
        self._calls: deque[tuple[int, float]] = deque(maxlen=HISTORY)  # characters, seconds
        self._is_warm = False
        self._refusals = 0
        self._lock = Lock()

    def record(self, pairs: Sequence[Pair], seconds: float) -> None:
        """Note how long a call took. The first one, which opens the model, does not count."""
        if pairs:
            with self._lock:
                if self._is_warm:
                    self._calls.append((sum(map(_characters, pairs)), seconds))
                self._is_warm = True

    def affordable(self, pairs: Iterable[Pair], left: float) -> int:
        """How many of the first pairs to read in the next call.

        Args:
            pairs: those still to be read.
            left: seconds left in the budget.
        """
        with self._lock:
            calls = list(self._calls)
        if not calls:
            return FIRST_CALL_PAIRS if left > 0 else 0
        per_call, per_character = _cost(calls)
        reserve = (1 - FIRST_SHARE) * left
        is_last = reserve < 2 * per_call  # another call would cost most of the reserve
        planned = left if is_last else left - reserve
        count, characters = 0, 0
        for pair in pairs:
            characters += _characters(pair)
            if per_call + characters * per_character > (planned if count else left):
                break
            count += 1
        with self._lock:
            self._refusals = 0 if count or left <= 0 else self._refusals + 1
            return 1 if self._refusals and self._refusals % RETRY_EVERY == 0 else count


def _cost(calls: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Seconds of a call and of each character in it, neither below 0, erring on the high side.

    Non-negative least squares of the relative errors, so that a single hiccup weighs no more than any other call.
    With two unknowns, the one that would be negative is set to 0. (SciPy's solver takes a second to import, which
    would come out of somebody's budget.)
    """
    characters, seconds = np.array(calls).T
    seconds = np.maximum(seconds, 1e-9)
    parts = np.stack([1 / seconds, characters / seconds], axis=1)
    ones = np.ones(len(calls))
    positive = np.linalg.lstsq(parts, ones)[0] > 0
    cost = np.zeros(2)
    cost[positive] = np.linalg.lstsq(parts[:, positive], ones)[0]
    per_call, per_character = cost * np.percentile(1 / (parts @ cost), SAFETY_PERCENTILE)
    return float(per_call), float(per_character)


def _characters(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1]) + PAIR_OVERHEAD
