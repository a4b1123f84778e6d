"""The best candidates under time decay, exactly: no fresh item is lost below a cut made without regard to time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import Mask, Rows
from twotower.types import Decay, Scores, Vectors

GROWTH = 4
SLACK = 16  # rows fetched beyond k, so that one fetch usually settles the order
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Candidates:
    """What recall found for one query, best decayed similarity first.

    Args:
        ordinals: shape (m,), rows of the snapshot.
        similarity: shape (m,), inner products before decay.
        freshness: shape (m,), what age multiplies a positive score with; 1 without decay.
    """

    ordinals: Rows
    similarity: Scores
    freshness: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clock:
    """What age does to a score at one moment.

    Args:
        decay: None for no decay.
        now: the present, in days since 1970.
    """

    decay: Decay | None
    now: float

    def freshness(self, days: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factors in (0, 1] of times in days since 1970, NaN where unknown; both of shape (m,)."""
        return np.ones(len(days)) if self.decay is None else self.decay.factor(self.now - days)

    def ceiling(self, snapshot: Snapshot, allowed: Sequence[Mask]) -> float:
        """The largest freshness among the allowed rows; 1 when there are none."""
        if self.decay is None:
            return 1.0
        days = [part.segment.days[mask] for part, mask in zip(snapshot.parts, allowed, strict=True)]
        # Factors fall with age, so the newest row and a row of unknown age bound all others.
        bounds = [
            extreme for column in days if column.size for extreme in (np.fmax.reduce(column), column.min())
        ]
        return float(self.freshness(np.array(bounds)).max()) if bounds else 1.0


def best_candidates(
    snapshot: Snapshot, query: Vectors, k: int, *, allowed: Sequence[Mask], clock: Clock, ceiling: float
) -> Candidates:
    """Find the k best rows by similarity times freshness.

    Nearest rows are fetched in growing numbers until no row further away could still win, were it as fresh as
    can be: the threshold algorithm of Fagin, Lotem and Naor (PODS 2001) for a list that is sorted by one factor.

    Args:
        snapshot: what to search.
        query: float32 of shape (dim,), unit length.
        k: at least 1.
        allowed: as `Snapshot.allowed` gives it.
        clock: what age does to a score now.
        ceiling: as `Clock.ceiling` gives it for these rows.

    Returns:
        min(k, allowed rows) candidates, the older write first among equals.
    """
    matches = sum(int(np.count_nonzero(mask)) for mask in allowed)
    fetch = k + SLACK
    while True:
        similarity, ordinals = snapshot.search(query, fetch, allowed)
        freshness = clock.freshness(snapshot.days_at(ordinals))
        final = decayed(similarity, freshness)
        order = np.lexsort((ordinals, -final))[:k]
        if len(ordinals) >= matches or final[order[-1]] > decayed(similarity[-1:], ceiling)[0] + ROUNDING:
            return Candidates(ordinals[order], similarity[order], freshness[order])
        fetch *= GROWTH


def decayed(scores: NDArray[np.floating], freshness: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Scores times freshness where that lowers them: a negative score times a factor below 1 would rise.

    Args:
        scores: shape (m,).
        freshness: in (0, 1], one factor or shape (m,).
    """
    return np.where(scores > 0, scores * freshness, scores)
