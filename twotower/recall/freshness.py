"""Time decay: turns the age of an item into the factor that multiplies its score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from twotower.recall.segment import SECONDS_A_DAY, newest_or_unknown
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import DecayByAttribute, TimeDecay


@dataclass(frozen=True, slots=True)
class Freshness:
    """The decay of all items at one moment.

    Args:
        decay: computes a factor from an age.
        now: the present, in days since 1970.
        by_attribute: the decay, if it depends on an attribute.
    """

    decay: TimeDecay
    now: float
    by_attribute: DecayByAttribute | None = None

    @classmethod
    def at(cls, now: datetime, decay: TimeDecay | None) -> Freshness | None:
        """The freshness at a moment; None without a decay."""
        if decay is None:
            return None
        by_attribute = decay if isinstance(decay, DecayByAttribute) else None
        return cls(decay, now.timestamp() / SECONDS_A_DAY, by_attribute)

    def of(self, snapshot: Snapshot, ordinals: Rows) -> NDArray[np.float64]:
        """TimeDecay factors in (0, 1] of m rows, shape (m,)."""
        ages = self.now - snapshot.days_at(ordinals)
        decay = self.by_attribute
        if decay is None:
            return self.decay.factor(ages)
        return decay.factor_of(ages, snapshot.first_match_at(ordinals, decay.attribute, decay.values))

    def upper_bound(self, snapshot: Snapshot, allowed: Sequence[Selection]) -> float:
        """An upper bound of the factors of allowed rows: that of the newest day, for any value of the attribute."""
        bounds = [
            part.newest_days if chosen is part.alive else newest_or_unknown(part.segment.days[chosen.rows])
            for part, chosen in zip(snapshot.parts, allowed, strict=True)
        ]
        ages = self.now - np.concatenate(bounds)
        decay = self.by_attribute
        if decay is None:
            return float(self.decay.factor(ages).max())
        values = np.arange(len(decay.values) + 1)
        return float(decay.factor_of(np.tile(ages, len(values)), values.repeat(len(ages))).max())


def decayed(scores: NDArray[np.floating], freshness: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Multiply positive scores by freshness; a negative score would rise if it were multiplied by less than 1.

    Args:
        scores: shape (m,).
        freshness: in (0, 1], one factor or shape (m,).
    """
    return np.where(scores > 0, scores * freshness, scores)
