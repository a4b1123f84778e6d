"""One ranking out of several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence


def reciprocal_rank_fusion(
    rankings: Iterable[Sequence[str]], k: int | None = None, *, constant: float = 60
) -> dict[str, float]:
    """Fuse rankings: score = sum over rankings of 1 / (constant + rank).

    Source: Cormack, Clarke and Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods".

    Args:
        rankings: ids, best first, each at most once in a ranking.
        k: how many to keep; None keeps all.
        constant: dampens the first ranks.

    Returns:
        Score by id, best first; ids of equal scores descending.
    """
    scores: dict[str, float] = defaultdict(float)
    for ranking in rankings:
        for rank, id_ in enumerate(ranking, start=1):
            scores[id_] += 1 / (constant + rank)
    best = sorted(scores, key=lambda id_: (scores[id_], id_), reverse=True)
    return {id_: scores[id_] for id_ in best[:k]}
