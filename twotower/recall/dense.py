"""Recall by vector similarity, exact under time decay: no fresh item is cut off before its age counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twotower.recall.candidates import NO_CANDIDATES, Candidates
from twotower.recall.freshness import Freshness, decayed
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import Vectors

GROWTH = 4
OVERFETCH = 16  # rows fetched beyond k under decay, so that a single fetch usually settles the order
ROUNDING = 1e-6


def dense_candidates(
    snapshot: Snapshot,
    queries: Vectors,
    k: int,
    allowed: Sequence[Selection],
    matches: int,
    freshness: Freshness | None,
) -> list[Candidates]:
    """Find the k best rows of each query by similarity times freshness.

    Under decay, ever more of the nearest rows are fetched until no more distant row could win, however fresh it is:
    the threshold algorithm of Fagin, Lotem and Naor (PODS 2001) for a list sorted by one of two factors.

    Args:
        snapshot: what to search.
        queries: float32 of shape (q, dim), unit rows.
        k: at least 1 and at most `matches`.
        allowed: from `Snapshot.allowed`.
        matches: how many rows that are.
        freshness: the decay at the present; None ignores time.

    Returns:
        k candidates for each query; ties are broken by the older write.
    """
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
            best = order[row]
            near = similarity[row, best]
            answers[unsettled[row]] = Candidates(ordinals[row, best], near, factors[row, best], near)
        unsettled = unsettled[~settled]
        fetch *= GROWTH
    return answers
