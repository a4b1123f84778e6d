"""Candidates by vector similarity, exact under time decay: no fresh item is cut off before its age counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.search.freshness import Freshness, decayed
from twotower.types import Vectors

GROWTH = 4
OVERFETCH = 16  # rows fetched beyond k under decay, so that a single fetch usually settles the order
ROUNDING = 1e-6


class Candidates(NamedTuple):
    """The candidates that recall found for one query, best first; arrays of shape (m,).

    Args:
        ordinals: rows of the snapshot.
        scores: before decay: similarities, or the fused scores of hybrid recall.
        freshness: decay factors of the rows; None without decay.
        similarity: inner products of the rows with the query; None if they were not needed.
        dense_share: the weight of the inner product in the score, in [0, 1].
        channels: the other terms of the score, by name.
    """

    ordinals: Rows
    scores: NDArray[np.floating]
    freshness: NDArray[np.float64] | None = None
    similarity: NDArray[np.floating] | None = None
    dense_share: float = 1.0
    channels: Mapping[str, NDArray[np.float64]] = MappingProxyType({})

    @property
    def decayed_scores(self) -> NDArray[np.floating]:
        """The scores after decay."""
        return self.scores if self.freshness is None else decayed(self.scores, self.freshness)

    def take(self, places: Rows) -> Candidates:
        """The candidates at these positions, in this order."""
        return Candidates(
            self.ordinals[places],
            self.scores[places],
            None if self.freshness is None else self.freshness[places],
            None if self.similarity is None else self.similarity[places],
            self.dense_share,
            {name: values[places] for name, values in self.channels.items()},
        )


NO_CANDIDATES = Candidates(np.zeros(0, dtype=np.int64), np.zeros(0), similarity=np.zeros(0))


def nearest_candidates(
    snapshot: Snapshot,
    queries: Vectors,
    k: int,
    *,
    allowed: Sequence[Selection],
    freshness: Freshness | None,
) -> list[Candidates]:
    """Find the k best rows of each query by similarity times freshness.

    Under decay, ever more of the nearest rows are fetched until no more distant row could win, however fresh it is:
    the threshold algorithm of Fagin, Lotem and Naor (PODS 2001) for a list sorted by one of two factors.

    Args:
        snapshot: what to search.
        queries: float32 of shape (q, dim), unit rows.
        k: at least 1.
        allowed: from `Snapshot.allowed`.
        freshness: the decay at the present; None ignores time.

    Returns:
        min(k, allowed rows) candidates for each query; ties are broken by the older write.
    """
    matches = sum([selection.count for selection in allowed])
    k = min(k, matches)
    if not k:
        return [NO_CANDIDATES] * len(queries)
    if freshness is None:
        similarity, ordinals = snapshot.search(queries, k, allowed)
        return [
            Candidates(found, scores, None, scores)
            for found, scores in zip(ordinals, similarity, strict=True)
        ]
    max_freshness = freshness.upper_bound(snapshot, allowed)
    unsettled = np.arange(len(queries))
    answers = [NO_CANDIDATES] * len(queries)
    fetch = k + OVERFETCH
    while unsettled.size:
        similarity, ordinals = snapshot.search(queries[unsettled], min(fetch, matches), allowed)
        factors = freshness.of(snapshot, ordinals.ravel()).reshape(ordinals.shape)
        scores = decayed(similarity, factors)
        order = np.lexsort((ordinals, -scores))[:, :k]
        rows = np.arange(len(order))
        worst, unseen = scores[rows, order[:, -1]], decayed(similarity[:, -1], max_freshness)
        settled = (worst > unseen + ROUNDING) | (fetch >= matches)
        for row in np.flatnonzero(settled):
            best, near = order[row], similarity[row, order[row]]
            answers[unsettled[row]] = Candidates(ordinals[row, best], near, factors[row, best], near)
        unsettled = unsettled[~settled]
        fetch *= GROWTH
    return answers
