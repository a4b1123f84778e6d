"""Baselines that only count: what everybody buys, what everybody bought lately, and what the user buys again."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from benchmarks.recommend.memory import Memory, Scores
from twotower.evaluation.recommendation import Past


def popular(counts: NDArray[np.float64]) -> Scores:
    """The same scores for everybody, counted once before the split."""
    return lambda user, past: counts


def random(items: int, seed: int) -> Scores:
    """Chance: for each user another order of so many items."""
    return lambda user, past: np.random.default_rng([seed, *user.encode()]).random(items)


def repeat(memory: Memory) -> Scores:
    """The user's own number of baskets with each item up to the moment of prediction."""
    return lambda user, past: memory.counts(past.of(user), past.moment)


@dataclass
class RecentlyPopular:
    """Lines with each item in the last days before the moment of prediction; nothing is fitted.

    What was read is kept by position, and no more of it is used than the past at hand is long; so one object may be
    asked again at an earlier moment of the same history.
    """

    memory: Memory
    days: float
    _read: list[int] = field(default_factory=list)
    _times: list[float] = field(default_factory=list)

    def __call__(self, user: str, past: Past) -> NDArray[np.float64]:
        """Scores of shape (items,)."""
        for event in past.since(len(self._read)):
            self._read.append(self.memory.rows[event.item])
            self._times.append(event.time.timestamp())
        begin = (past.moment - timedelta(days=self.days)).timestamp()
        start = bisect_left(self._times, begin, hi=len(past))
        return np.bincount(self._read[start : len(past)], minlength=len(self.memory.rows)).astype(np.float64)
