"""Candidates of recommendation: the best of every channel, the nearest by content, and the shopper's own items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.recommend.channels import FittedChannel
from twotower.recommend.event_log import Numbers, Rows, Shopper
from twotower.recommend.features import ItemFacts, features_of, mean_vector
from twotower.types import Vectors

A_CHANNEL = 100  # candidates


class Shelf(Protocol):
    """The items that may be recommended, and the content of all."""

    @property
    def allowed(self) -> NDArray[np.bool_]:
        """Which items of the vocabulary may be recommended, shape (items,)."""
        ...

    def vectors(self, rows: Rows, /) -> Vectors:
        """Content of m items, unit rows of shape (m, dim), zeros for those that are gone."""
        ...

    def nearest(self, vector: Vectors, k: int, /) -> Rows:
        """Rows of at most k allowed items whose content is nearest to a unit vector, best first."""
        ...


@dataclass(frozen=True, slots=True)
class CandidateFinder:
    """Channels and facts that were fitted on the same past.

    Args:
        channels: by name.
        facts: of the items.
    """

    channels: Mapping[str, FittedChannel]
    facts: ItemFacts

    def recall(self, shopper: Shopper, shelf: Shelf) -> Recall:
        """Score everything on a shelf for one shopper by every channel."""
        scores = {name: channel.scores(shopper) for name, channel in self.channels.items()}
        return Recall(shopper, shelf, scores, self.facts, shelf.vectors(shopper.rows))


@dataclass(frozen=True, slots=True)
class Recall:
    """What the channels say for one shopper.

    Args:
        shopper: for whom.
        shelf: what may be recommended.
        scores: of each channel, for all items.
        facts: of the items.
        own_vectors: of `shopper.rows`, float32 of shape (m, dim).
    """

    shopper: Shopper
    shelf: Shelf
    scores: Mapping[str, Numbers]
    facts: ItemFacts
    own_vectors: Vectors

    def candidates(self, of_each: int = A_CHANNEL) -> Rows:
        """Rows of allowed items, ascending: so many of each channel, and all of the shopper's own."""
        mean = mean_vector(self.shopper, self.own_vectors)
        found = [self.shopper.rows]
        found += [] if mean is None else [self.shelf.nearest(mean, of_each)]
        found += [best(values, self.shelf.allowed, of_each) for values in self.scores.values()]
        rows = np.unique(np.concatenate(found))
        rows = rows[rows < len(self.shelf.allowed)]  # what came in since is on the next shelf
        allowed: Rows = rows[self.shelf.allowed[rows]]
        return allowed

    def batches(self) -> Iterator[Rows]:
        """All allowed items, the likely ones first: batches that are the same however many are asked for."""
        first = self.candidates()
        yield first
        others = self.shelf.allowed.copy()
        others[first] = False
        yield np.flatnonzero(others)

    def features(self, rows: Rows) -> NDArray[np.float64]:
        """Features of m items, shape (m, features)."""
        vectors = self.shelf.vectors(rows)
        return features_of(self.shopper, rows, self.scores, self.facts, vectors, self.own_vectors)


def best(scores: Numbers, allowed: NDArray[np.bool_], k: int) -> Rows:
    """The k allowed items with the highest scores above 0, equal ones by row.

    Args:
        scores: of the first items, shape (n,).
        allowed: which of all items are allowed.
        k: how many.
    """
    size = min(len(scores), len(allowed))
    rows = np.flatnonzero((scores[:size] > 0) & allowed[:size])
    if len(rows) > k:
        least = np.partition(scores[rows], -k)[-k]
        rows = rows[scores[rows] >= least]
    return rows[np.argsort(-scores[rows], kind="stable")[:k]]
