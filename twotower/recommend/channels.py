"""Channels of recall: each scores every item for a shopper, and can be used alone.

A channel is a plain record of its parameters; `fit` reads the events before a moment and returns what scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from twotower.recommend.event_log import EventLog, Numbers, Rows, Shopper


class FittedChannel(Protocol):
    """A channel that has read the past."""

    def scores(self, shopper: Shopper, /) -> Numbers:
        """Higher is better, 0 for nothing known, shape (n,) of the first n items of the log's vocabulary."""
        ...


class Channel(Protocol):
    """The parameters of a channel."""

    def fit(self, log: EventLog, /) -> FittedChannel:
        """Read events, all of them from before the moments at which it will score."""
        ...


@dataclass(frozen=True, slots=True)
class OwnHistory:
    """The shopper's own items by their decayed counts: what is bought again.

    Args:
        half_life: in days.
    """

    half_life: float = 90.0

    def fit(self, log: EventLog) -> OwnHistory:
        """Nothing to fit."""
        return self

    def scores(self, shopper: Shopper) -> Numbers:
        """See `FittedChannel`."""
        scores = np.zeros(len(shopper.log.items))
        scores[shopper.rows] = shopper.decayed(self.half_life)
        return scores


@dataclass(frozen=True, slots=True)
class Popular:
    """Everybody's decayed counts up to the moment.

    Args:
        half_life: in days.
    """

    half_life: float = 30.0

    def fit(self, log: EventLog) -> DecayedCounts:
        """Nothing to fit: counts are kept up as time goes on."""
        return DecayedCounts(self.half_life)


class DecayedCounts:
    """Decayed counts of items at a moment, which is cheap where moments ascend.

    Args:
        half_life: in days.
    """

    def __init__(self, half_life: float) -> None:
        self._half_life = half_life
        self._known: tuple[EventLog | None, float, int, Numbers] = (None, 0.0, 0, np.zeros(0))

    def scores(self, shopper: Shopper) -> Numbers:
        """See `FittedChannel`."""
        log, day = shopper.log, shopper.day
        known, then, start, counts = self._known
        if log is not known or day < then or len(counts) < len(log.items):
            then, start, counts = day, 0, np.zeros(len(log.items))
        end = int(np.searchsorted(log.day, day))
        new = slice(start, end)
        weights = log.weight[new] * np.exp2((log.day[new] - day) / self._half_life)
        added: Numbers = np.bincount(log.item[new], weights, minlength=len(counts)).astype(np.float64)
        decayed: Numbers = counts * np.exp2((then - day) / self._half_life) + added
        self._known = (log, day, end, decayed)
        return decayed


@dataclass(frozen=True, slots=True)
class Ease:
    """Linear item-to-item weights from who bought what, EASE.

    Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", equation 8, on a matrix whose entries
    are 0.5 ** (age / half_life) of a user's newest event on an item.

    Args:
        half_life: in days; infinity counts old and new events alike.
        regularization: of the weights.
        items: how many of the items with most events have weights, which take 8 * items ** 2 bytes.
    """

    half_life: float = 90.0
    regularization: float = 200.0
    items: int = 10_000

    def fit(self, log: EventLog) -> ItemWeights:
        """See `Channel`."""
        counts = np.bincount(log.item, minlength=len(log.items))
        kept = np.sort(np.argsort(-counts, kind="stable")[: self.items])
        kept = kept[counts[kept] > 0]
        matrix = newest_matrix(log, self.half_life)[:, kept]
        gram = (matrix.T @ matrix).toarray().astype(np.float64)
        gram[np.diag_indices_from(gram)] += self.regularization
        inverse = np.linalg.inv(gram)
        weights = (-inverse / np.diag(inverse)).astype(np.float32)
        np.fill_diagonal(weights, 0)
        return ItemWeights(kept, weights, self.half_life)


@dataclass(frozen=True, slots=True)
class ItemWeights:
    """The weights of `Ease`.

    Args:
        kept: rows of the items that have weights, ascending, shape (m,).
        weights: float32 of shape (m, m): row i scores all items for a shopper who has item i.
        half_life: of the shopper's events, in days.
    """

    kept: Rows
    weights: NDArray[np.float32]
    half_life: float

    def scores(self, shopper: Shopper) -> Numbers:
        """See `FittedChannel`."""
        scores = np.zeros(len(shopper.log.items))
        if len(self.kept):
            places = np.minimum(np.searchsorted(self.kept, shopper.rows), len(self.kept) - 1)
            mine = self.kept[places] == shopper.rows
            history = shopper.newest(self.half_life)[mine].astype(np.float32)
            scores[self.kept] = history @ self.weights[places[mine]]
        return scores


@dataclass(frozen=True, slots=True)
class BoughtTogether:
    """Items of the same baskets: decayed cosine of every two items over baskets.

    Args:
        half_life: of a basket's weight, in days.
        history_half_life: of the shopper's events, in days; None scores by the basket now, or else the last one.
    """

    half_life: float = 180.0
    history_half_life: float | None = None

    def fit(self, log: EventLog) -> TogetherScores:
        """See `Channel`."""
        return TogetherScores(basket_cosines(log, self.half_life), self.history_half_life)


@dataclass(frozen=True, slots=True)
class TogetherScores:
    """The cosines of `BoughtTogether`.

    Args:
        cosines: of every two different items, shape (m, m).
        half_life: as `BoughtTogether.history_half_life`.
    """

    cosines: sparse.csr_matrix
    half_life: float | None

    def scores(self, shopper: Shopper) -> Numbers:
        """See `FittedChannel`."""
        if self.half_life is None:
            rows = shopper.latest_basket
            weights = np.full(len(rows), 1 / max(len(rows), 1))
        else:
            rows, weights = shopper.rows, shopper.newest(self.half_life)
        size = self.cosines.shape[0]
        known = rows < size
        scores = np.zeros(len(shopper.log.items))
        scores[:size] = self.cosines[rows[known]].T @ weights[known]
        return scores


@dataclass(frozen=True, slots=True)
class SimilarShoppers:
    """What the nearest users by their decayed counts have.

    Source: Hu et al. 2020, "Modeling Personalized Item Frequency Information for Next-basket Recommendation"
    (TIFU-kNN), with exponential decay by days in place of groups of baskets.

    Args:
        half_life: in days.
        neighbours: how many.
    """

    half_life: float = 90.0
    neighbours: int = 200

    def fit(self, log: EventLog) -> NeighbourScores:
        """See `Channel`."""
        end = log.day[-1] if len(log) else 0.0
        weights = log.weight * np.exp2((log.day - end) / self.half_life)
        counts = sparse.csr_matrix((weights, (log.user, log.item)), shape=(len(log.users), len(log.items)))
        counts.data = np.log1p(counts.data)
        lengths = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        units = sparse.diags(1 / np.where(lengths > 0, lengths, 1)) @ counts
        return NeighbourScores(units.tocsr(), counts, self.half_life, self.neighbours)


@dataclass(frozen=True, slots=True)
class NeighbourScores:
    """The users of `SimilarShoppers`.

    Args:
        units: their vectors of length 1, shape (users, items).
        counts: the same before.
        half_life: of the shopper's events, in days.
        neighbours: how many.
    """

    units: sparse.csr_matrix
    counts: sparse.csr_matrix
    half_life: float
    neighbours: int

    def scores(self, shopper: Shopper) -> Numbers:
        """See `FittedChannel`."""
        users, size = self.units.shape
        scores, known = np.zeros(len(shopper.log.items)), shopper.rows < size
        mine = np.zeros(size)
        mine[shopper.rows[known]] = np.log1p(shopper.decayed(self.half_life)[known])
        length = np.linalg.norm(mine)
        if length == 0:
            return scores
        similarity = self.units @ (mine / length)
        if 0 <= shopper.row < users:
            similarity[shopper.row] = 0  # not their own neighbour
        near = np.argsort(-similarity, kind="stable")[: self.neighbours]
        total = similarity[near].sum()
        if total > 0:
            scores[:size] = self.counts[near].T @ similarity[near] / total
        return scores


def newest_matrix(log: EventLog, half_life: float) -> sparse.csr_matrix:
    """0.5 ** (age / half_life) of every user's newest event on every item, shape (users, items)."""
    end = log.day[-1] if len(log) else 0.0
    key = log.user * max(len(log.items), 1) + log.item
    _, newest = np.unique(key[::-1], return_index=True)  # the log ascends, so its last is found first
    rows = len(log) - 1 - newest
    values = np.exp2((log.day[rows] - end) / half_life)
    return sparse.csr_matrix(
        (values, (log.user[rows], log.item[rows])), shape=(len(log.users), len(log.items))
    )


def basket_cosines(log: EventLog, half_life: float) -> sparse.csr_matrix:
    """Cosine of every two different items over baskets, which count less when old or large; shape (items, items)."""
    size = len(log.items)
    if not len(log):
        return sparse.csr_matrix((size, size))
    order = np.lexsort((log.day, log.user))
    user, day = log.user[order], log.day[order]
    begins = np.concatenate([[True], (user[1:] != user[:-1]) | (day[1:] != day[:-1])])
    basket = np.cumsum(begins) - 1
    baskets = sparse.csr_matrix((np.ones(len(log)), (basket, log.item[order])), shape=(basket[-1] + 1, size))
    baskets.data[:] = 1
    lines = np.asarray(baskets.sum(axis=1)).ravel()
    weights = np.exp2((day[begins] - log.day[-1]) / half_life) / np.sqrt(lines)
    product = (baskets.T @ sparse.diags(weights) @ baskets).tocsr()
    norms = np.sqrt(product.diagonal())
    inverse = sparse.diags(np.divide(1, norms, out=np.zeros(size), where=norms > 0))
    product.setdiag(0)
    product.eliminate_zeros()
    return (inverse @ product @ inverse).tocsr()
