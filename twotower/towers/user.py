"""User tower: a behaviour history as one vector in the space of the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.types import Event, Vectors

SECONDS_A_DAY = 86_400.0


def _default_kinds() -> dict[str, float]:
    return {"purchase": 1.0, "cart": 0.6, "click": 0.3, "view": 0.1}


@dataclass(frozen=True, slots=True)
class UserTower:
    """The mean of the vectors a user acted on, weighted by what was done, how much, and how long ago.

    weight(event) = kinds[kind] * value * 0.5 ** (age / half_life)

    Nothing is trained; a learned tower can take this one's place with the same two methods.

    Args:
        half_life: days after which an event counts half, above 0.
        kinds: weight of each kind of event; a kind that is not named here counts 1.
        newest: how many of a user's events are read, newest first.

    Raises:
        ValueError: a parameter is out of its range.
    """

    half_life: float = 30.0
    kinds: Mapping[str, float] = field(default_factory=_default_kinds)
    newest: int = 500

    def __post_init__(self) -> None:
        if not self.half_life > 0:
            raise ValueError(f"half_life={self.half_life} must be a number of days above 0")
        if self.newest < 1:
            raise ValueError(f"newest={self.newest} must be at least 1")
        if bad := [kind for kind, weight in self.kinds.items() if not weight >= 0]:
            raise ValueError(f"the weight of event kind '{bad[0]}' must be at least 0")

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def weights(self, events: Sequence[Event], now_days: float) -> NDArray[np.float64]:
        """How much each event counts, shape (n,).

        Args:
            events: n events, none after `now_days`.
            now_days: the present, in days since 1970.
        """
        ages = np.array([now_days - event.time.timestamp() / SECONDS_A_DAY for event in events])
        acts = np.array([self.kinds.get(event.kind, 1.0) * event.value for event in events])
        return np.asarray(acts * 0.5 ** (ages / self.half_life), dtype=np.float64)

    def encode(self, events: Sequence[Event], vectors: Vectors, now_days: float) -> Vectors | None:
        """Encode one user.

        Args:
            events: n events, none after `now_days`.
            vectors: float32 of shape (n, dim), the vector of each event's item.
            now_days: the present, in days since 1970.

        Returns:
            float32 of shape (dim,), unit length; None where nothing counts.
        """
        if not events:
            return None
        weights = self.weights(events, now_days)
        peak = weights.max()
        if not peak > 0:
            return None
        # Relative to the largest weight: a history of years ago still has a direction in float32.
        mean = (weights / peak) @ vectors.astype(np.float64)  # (dim,)
        length = np.linalg.norm(mean)
        return None if length < 1e-9 else np.asarray(mean / length, dtype=np.float32)
