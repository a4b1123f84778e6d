"""Recall by words: the rows with the highest BM25 scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twotower.recall.bm25 import CollectionStatistics
from twotower.recall.freshness import Freshness, decayed
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot


def lexical_scores(snapshot: Snapshot, text: str) -> NDArray[np.float32]:
    """BM25 of every row for a query, divided by its upper bound for the query's words: in [0, 1], shape (rows,)."""
    words = snapshot.words_of(text)
    postings = [part.postings for part in snapshot.parts]
    statistics = CollectionStatistics.of(postings, words)
    scores = [np.zeros(0, dtype=np.float32), *(statistics.scores(part.postings, words) for part in postings)]
    bound = statistics.upper_bound(words) or 1.0
    return np.divide(np.concatenate(scores), bound, dtype=np.float32)


def best_by_words(
    snapshot: Snapshot,
    scores: NDArray[np.float32],
    k: int,
    *,
    allowed: Sequence[Selection],
    freshness: Freshness | None,
) -> Rows:
    """The ordinals of the k highest scores above 0 and, under decay, also of those that rank highest after it.

    Returns:
        By descending score before decay; ties are broken by the older write.
    """
    starts = snapshot.starts
    hits = [np.zeros(0, dtype=np.int64)]
    for start, end, selection in zip(starts[:-1], starts[1:], allowed, strict=True):
        rows = np.flatnonzero(scores[start:end])
        hits.append(rows[selection.mask[rows]] + start)
    found = np.concatenate(hits)
    kept = _highest(scores[found], found, k)
    if freshness is not None and len(found) > k:
        kept = np.union1d(kept, _highest(decayed(scores[found], freshness.of(snapshot, found)), found, k))
    return kept[np.lexsort((kept, -scores[kept]))]


def _highest(scores: NDArray[np.floating], ordinals: Rows, count: int) -> Rows:
    """The ordinals of the highest scores; ties are broken by the older write."""
    if len(ordinals) > count:  # ties at the cut are kept until they are sorted
        least = np.partition(scores, -count)[-count]
        scores, ordinals = scores[scores >= least], ordinals[scores >= least]
    return ordinals[np.lexsort((ordinals, -scores))[:count]]
