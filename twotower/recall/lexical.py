"""Recall by words: BM25 scores, and the rows that have any."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.words.bm25 import CollectionStatistics


def lexical_scores(snapshot: Snapshot, text: str) -> NDArray[np.float32]:
    """BM25 of every row for a query, divided by its upper bound for the query's words: in [0, 1], shape (rows,)."""
    words = snapshot.words_of(text)
    postings = [part.postings for part in snapshot.parts]
    statistics = CollectionStatistics.of(postings, words)
    scores = [np.zeros(0, dtype=np.float32), *(statistics.scores(part.postings, words) for part in postings)]
    bound = statistics.upper_bound(words) or 1.0
    return np.divide(np.concatenate(scores), bound, dtype=np.float32)


def rows_with_words(snapshot: Snapshot, scores: NDArray[np.float32], allowed: Sequence[Selection]) -> Rows:
    """The ordinals of the allowed rows that score above 0, ascending."""
    starts = snapshot.starts
    hits = [np.zeros(0, dtype=np.int64)]
    for start, end, selection in zip(starts[:-1], starts[1:], allowed, strict=True):
        rows = np.flatnonzero(scores[start:end])
        hits.append(rows[selection.mask[rows]] + start)
    return np.concatenate(hits)


def highest(scores: NDArray[np.floating], ordinals: Rows, count: int) -> Rows:
    """The ordinals of the highest scores, best first; ties are broken by the older write."""
    if len(ordinals) > count:  # ties at the cut are kept until they are sorted
        least = np.partition(scores, -count)[-count]
        scores, ordinals = scores[scores >= least], ordinals[scores >= least]
    return ordinals[np.lexsort((ordinals, -scores))[:count]]
