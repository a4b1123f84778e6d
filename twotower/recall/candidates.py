"""The best candidates under time decay, exactly: no fresh item is lost below a cut made without regard to time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twotower.recall.segment import extremes
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import Decay, DecayByAttribute, Vectors

GROWTH = 4
SLACK = 16  # rows fetched beyond k under decay, so that one fetch usually settles the order
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Candidates:
    """What recall found, best score first; arrays of shape (q, m) for q queries, or (m,) for one.

    Args:
        ordinals: rows of the snapshot.
        recalled: scores before decay: inner products, or what they add up to with the words' channel.
        freshness: what age multiplies a positive score with; None without decay.
        vectors_share: how much of the inner product is in the score, in [0, 1].
        channels: what else the score adds up from, by name.
    """

    ordinals: Rows
    recalled: NDArray[np.floating]
    freshness: NDArray[np.float64] | None
    vectors_share: float = 1.0
    channels: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def score(self) -> NDArray[np.floating]:
        """The scores as age leaves them."""
        return self.recalled if self.freshness is None else decayed(self.recalled, self.freshness)

    def __getitem__(self, places: int | Rows) -> Candidates:
        """Those of one of several queries, or some of one query's."""
        return Candidates(
            self.ordinals[places],
            self.recalled[places],
            None if self.freshness is None else self.freshness[places],
            self.vectors_share,
            {name: values[places] for name, values in self.channels.items()},
        )


@dataclass(frozen=True, slots=True)
class Clock:
    """What age does to a score at one moment.

    Args:
        decay: None for no decay.
        now: the present, in days since 1970.
    """

    decay: Decay | None
    now: float

    def freshness(self, snapshot: Snapshot, ordinals: Rows) -> NDArray[np.float64]:
        """Factors in (0, 1] of rows, both of shape (m,)."""
        ages = self.now - snapshot.days_at(ordinals)
        if self.decay is None:
            return np.ones(len(ages))
        if isinstance(self.decay, DecayByAttribute):
            places = snapshot.places_at(ordinals, self.decay.attribute, self.decay.values)
            return self.decay.factor_of(ages, places)
        return self.decay.factor(ages)

    def ceiling(self, snapshot: Snapshot, allowed: Sequence[Selection]) -> float:
        """No allowed row is fresher than this: what the freshest of them would be with any value of an attribute."""
        bounds = [
            part.extreme_days if chosen is part.alive else extremes(part.segment.days[chosen.rows])
            for part, chosen in zip(snapshot.parts, allowed, strict=True)
        ]
        ages = self.now - np.concatenate(bounds)
        if self.decay is None:
            return 1.0
        if isinstance(self.decay, DecayByAttribute):
            places = np.arange(len(self.decay.values) + 1)
            return float(self.decay.factor_of(np.tile(ages, len(places)), places.repeat(len(ages))).max())
        return float(self.decay.factor(ages).max())


def best_candidates(
    snapshot: Snapshot, queries: Vectors, k: int, *, allowed: Sequence[Selection], clock: Clock
) -> Candidates:
    """Find the k best rows of each query by similarity times freshness.

    Under decay, nearest rows are fetched in growing numbers until no row further away could still win, were it as
    fresh as can be: the threshold algorithm of Fagin, Lotem and Naor (PODS 2001) for a list sorted by one factor.

    Args:
        snapshot: what to search.
        queries: float32 of shape (q, dim), unit rows.
        k: at least 1.
        allowed: as `Snapshot.allowed` gives it.
        clock: what age does to a score now.

    Returns:
        m = min(k, allowed rows) candidates a query, the older write first among equals.
    """
    matches = sum(selection.count for selection in allowed)
    k = min(k, matches)
    if not k:
        nothing = np.zeros((len(queries), 0))
        return Candidates(nothing.astype(np.int64), nothing.astype(np.float32), nothing)
    if clock.decay is None:
        similarity, ordinals = snapshot.search(queries, k, allowed)
        return Candidates(ordinals, similarity, None)
    ceiling = clock.ceiling(snapshot, allowed)

    def settled(queries: Vectors, fetch: int) -> Candidates:
        similarity, ordinals = snapshot.search(queries, min(fetch, matches), allowed)
        freshness = clock.freshness(snapshot, ordinals.ravel()).reshape(ordinals.shape)
        final = decayed(similarity, freshness)
        order = np.lexsort((ordinals, -final))[:, :k]
        ranked = np.take_along_axis(ordinals, order, axis=1)
        near = np.take_along_axis(similarity, order, axis=1)
        fresh = np.take_along_axis(freshness, order, axis=1)
        worst = np.take_along_axis(final, order[:, -1:], axis=1)[:, 0]
        unseen = decayed(similarity[:, -1], ceiling)
        again = np.flatnonzero(worst <= unseen + ROUNDING)
        if again.size and fetch < matches:
            more = settled(queries[again], fetch * GROWTH)
            ranked[again], near[again], fresh[again] = more.ordinals, more.recalled, more.freshness
        return Candidates(ranked, near, fresh)

    return settled(queries, k + SLACK)


def decayed(scores: NDArray[np.floating], freshness: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Scores times freshness where that lowers them: a negative score times a factor below 1 would rise.

    Args:
        scores: shape (m,).
        freshness: in (0, 1], one factor or shape (m,).
    """
    return np.where(scores > 0, scores * freshness, scores)
