"""The user tower: encodes a behaviour history as a vector in the space of the items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_is, check_number, check_text, check_whole
from twotower.types import EVENT_WEIGHTS, Event, Vectors

SECONDS_A_DAY = 86_400.0


class UserHistory(NamedTuple):
    """The events of one user, or of all users, on items that are still indexed.

    Args:
        events: n events, oldest first.
        vectors: float32 of shape (n, dim), the vector of each event's item.
    """

    events: Sequence[Event]
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class UserTower:
    """The mean of the vectors of a user's items, weighted by the kind, value and age of each event.

    weight(event) = kinds[kind] * value * 0.5 ** (age / half_life)

    Nothing is trained; a learned tower can take this one's place with the same two methods.

    Args:
        half_life: days after which the weight of an event halves, above 0.
        kinds: weight of each kind of event; other kinds have weight 1.
        newest: how many of a user's newest events are read.

    Raises:
        ValueError: a parameter is out of its range.
    """

    half_life: float = 30.0
    kinds: Mapping[str, float] = field(default_factory=lambda: EVENT_WEIGHTS)
    newest: int = 500

    def __post_init__(self) -> None:
        half_life = check_number("half_life", self.half_life, above=0, finite=False)
        check_is("kinds", self.kinds, Mapping, "a mapping")
        for kind in self.kinds:
            check_text("every kind of kinds", kind)
        kinds = {
            kind: check_number(f"kinds[{kind!r:.80}]", weight, least=0) for kind, weight in self.kinds.items()
        }
        # Plain values, which JSON can hold and the caller does not change.
        object.__setattr__(self, "half_life", half_life)
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "newest", check_whole("newest", self.newest, least=1))

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"half_life": self.half_life, "kinds": dict(self.kinds), "newest": self.newest}

    def weights(self, events: Sequence[Event], now_days: float) -> NDArray[np.float64]:
        """Weights of events relative to the largest, shape (n,); all 0 if every weight is 0.

        They are computed from exponents, because 0.5 ** (age / half_life) underflows after a thousand half-lives.

        Args:
            events: n events, none after `now_days`.
            now_days: the present, in days since 1970.
        """
        ages = np.array([now_days - event.time.timestamp() / SECONDS_A_DAY for event in events])
        acts = np.array([self.kinds.get(event.kind, 1.0) * event.value for event in events])
        with np.errstate(divide="ignore"):  # an event of weight 0 has the exponent -inf
            exponents = np.log2(acts) - ages / self.half_life
        most = exponents.max(initial=-np.inf)
        return np.zeros_like(exponents) if most == -np.inf else np.exp2(exponents - most)

    def encode(self, history: UserHistory, now_days: float) -> Vectors | None:
        """Encode one user.

        Args:
            history: with no event after `now_days`.
            now_days: the present, in days since 1970.

        Returns:
            float32 of shape (dim,), unit length; None if every weight is 0.
        """
        if not history.events:
            return None
        weights = self.weights(history.events, now_days)
        mean = weights @ history.vectors.astype(np.float64)  # (dim,), up to its length
        length = np.linalg.norm(mean)
        return None if length < 1e-9 else np.asarray(mean / length, dtype=np.float32)
