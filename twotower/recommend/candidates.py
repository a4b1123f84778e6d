"""Candidates of recommendation: the best of every channel, the nearest by content, and the shopper's own items."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Finds candidates and describes them.

    Args:
        channels: by name.
        facts: of the items.
    """

    channels: Mapping[str, FittedChannel]
    facts: ItemFacts

    def candidates(
        self, shopper: Shopper, shelf: Shelf, least: int = A_CHANNEL
    ) -> tuple[Rows, NDArray[np.float64]]:
        """Rows of m allowed items, ascending, and their features, shape (m, features).

        Args:
            shopper: for whom.
            shelf: what may be recommended.
            least: how many of every channel.
        """
        scores = {name: channel.scores(shopper) for name, channel in self.channels.items()}
        allowed = shelf.allowed
        own_vectors = shelf.vectors(shopper.rows)
        mean = mean_vector(shopper, own_vectors)
        found = [shopper.rows] if mean is None else [shopper.rows, shelf.nearest(mean, least)]
        found += [best(values, allowed, least) for values in scores.values()]
        rows = np.unique(np.concatenate(found))
        rows = rows[allowed[rows]]
        vectors = shelf.vectors(rows)
        return rows, features_of(shopper, rows, scores, self.facts, vectors, own_vectors)


def best(scores: Numbers, allowed: NDArray[np.bool_], k: int) -> Rows:
    """The k allowed items with the highest scores above 0, equal ones by row.

    Args:
        scores: of the first items, shape (n,).
        allowed: which of all items are allowed.
        k: how many.
    """
    rows = np.flatnonzero((scores > 0) & allowed[: len(scores)])
    if len(rows) > k:
        least = np.partition(scores[rows], -k)[-k]
        rows = rows[scores[rows] >= least]
    return rows[np.argsort(-scores[rows], kind="stable")[:k]]
