"""What the baselines share: a user's past as a vector of weights, with or without decay, and the best of all items.

An item's ties, and with them everything that a baseline knows nothing about, are broken by popularity. So a user
without a past, for whom all scores are 0, gets the most popular items from every baseline here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from twotower.evaluation import Past
from twotower.types import Event

Vector: TypeAlias = NDArray[np.float64]
"""One number for each item of the catalogue, shape (items,)."""
Scores: TypeAlias = Callable[[str, Past], Vector]
"""Scores of all items for a user at `past.moment`; higher is better."""


@dataclass(frozen=True, slots=True)
class Memory:
    """How past baskets count."""

    rows: Mapping[str, int]  # place of each item in vectors, by id
    half_life: float | None = None  # days after which a basket counts half; None is never

    def weights(self, events: Sequence[Event], now: datetime) -> NDArray[np.float64]:
        """0.5 ** (age / half_life) of each event, shape (events,)."""
        if self.half_life is None:
            return np.ones(len(events))
        return 0.5 ** np.array([(now - event.time) / timedelta(days=self.half_life) for event in events])

    def counts(self, events: Sequence[Event], now: datetime) -> Vector:
        """Baskets with each item, weighted; several lines in one basket are one."""
        lines = list({(event.user, event.time, event.item): event for event in events}.values())
        places = [self.rows[event.item] for event in lines]
        return np.bincount(places, self.weights(lines, now), minlength=len(self.rows)).astype(np.float64)

    def newest(self, events: Sequence[Event], now: datetime) -> Vector:
        """Weight of the last basket with each item: 0 or 1 without decay."""
        vector = np.zeros(len(self.rows))
        np.maximum.at(vector, [self.rows[event.item] for event in events], self.weights(events, now))
        return vector

    def matrix(self, past: Past) -> tuple[list[str], sparse.csr_matrix]:
        """All users with a past, and their `newest` as rows, shape (users, items)."""
        users = list(dict.fromkeys(event.user for event in past.since()))
        rows = [sparse.csr_matrix(self.newest(past.of(user), past.moment)) for user in users]
        return users, sparse.vstack(rows, format="csr")


@dataclass(frozen=True, slots=True)
class RankedItems:
    """A recommender from scores."""

    items: Sequence[str]  # ids, in the order of `Memory.rows`
    popularity: Vector  # what breaks ties; then the catalogue's order does
    scores: Scores  # of all items for a user

    def __call__(self, user: str, past: Past, k: int, exclude: frozenset[str], /) -> list[str]:
        """The best k of the catalogue that are not excluded."""
        order = np.lexsort((-self.popularity, -self.scores(user, past)))
        best = (self.items[row] for row in order[: k + len(exclude)])
        return [item for item in best if item not in exclude][:k]
