"""Where an item's age becomes the factor that its score is multiplied by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from twotower.recall.segment import SECONDS_A_DAY, newest_or_unknown
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import Decay, DecayByAttribute


@dataclass(frozen=True, slots=True)
class Freshness:
    """The decay of every item at one moment.

    Args:
        decay: what age does to a score.
        now: the present, in days since 1970.
    """

    decay: Decay
    now: float

    @classmethod
    def at(cls, now: datetime, decay: Decay | None) -> Freshness | None:
        """At a moment; None without a decay."""
        return None if decay is None else cls(decay, days_since_epoch(now))

    def of(self, snapshot: Snapshot, ordinals: Rows) -> NDArray[np.float64]:
        """Factors in (0, 1] of rows, both of shape (m,)."""
        ages = self.now - snapshot.days_at(ordinals)
        if isinstance(self.decay, DecayByAttribute):
            matches = snapshot.first_match_at(ordinals, self.decay.attribute, self.decay.values)
            return self.decay.factor_of(ages, matches)
        return self.decay.factor(ages)

    def upper_bound(self, snapshot: Snapshot, allowed: Sequence[Selection]) -> float:
        """No allowed row has a larger factor: that of the newest row, whichever value of an attribute it has."""
        bounds = [
            part.newest_days if chosen is part.alive else newest_or_unknown(part.segment.days[chosen.rows])
            for part, chosen in zip(snapshot.parts, allowed, strict=True)
        ]
        ages = self.now - np.concatenate(bounds)
        if isinstance(self.decay, DecayByAttribute):
            values = np.arange(len(self.decay.values) + 1)
            return float(self.decay.factor_of(np.tile(ages, len(values)), values.repeat(len(ages))).max())
        return float(self.decay.factor(ages).max())


def decayed(scores: NDArray[np.floating], freshness: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Scores times freshness where that lowers them: a negative score times a factor below 1 would rise.

    Args:
        scores: shape (m,).
        freshness: in (0, 1], one factor or shape (m,).
    """
    return np.where(scores > 0, scores * freshness, scores)


def days_since_epoch(moment: datetime) -> float:
    """Days since 1970, as item times are kept."""
    return moment.timestamp() / SECONDS_A_DAY
