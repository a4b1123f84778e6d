"""Hybrid recall: the best rows by words and vectors together, exact if the vector index is exact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from twotower.recall.candidates import Candidates
from twotower.recall.freshness import Freshness, decayed
from twotower.recall.fusion import LEXICAL, Channel, HybridFusion
from twotower.recall.lexical import highest, lexical_scores, rows_with_words
from twotower.recall.queries import EncodedQueries
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import Scores, Vectors

GROWTH = 4
ROUNDING = 1e-6


def hybrid_candidates(
    snapshot: Snapshot,
    queries: EncodedQueries,
    k: int,
    allowed: Sequence[Selection],
    matches: int,
    freshness: Freshness | None,
    fusion: HybridFusion,
) -> list[Candidates]:
    """Find the k best rows of each query by words and vectors combined.

    If the encoder cannot read a query's words, its vector is noise, and the lexical channel decides alone, provided
    that any item contains the words; the others follow in the order of their writes.

    Args:
        snapshot: what to search.
        queries: with words.
        k: at least 1 and at most `matches`.
        allowed: from `Snapshot.allowed`.
        matches: how many rows that are.
        freshness: the decay at the present; None ignores time.
        fusion: of the two channels.

    Returns:
        k candidates for each query; ties are broken by the older write.
    """
    find = partial(snapshot.search, allowed=allowed, first=fusion.depth, comparable=True)
    similarity, ordinals = find(queries.vectors, min(max(k, fusion.depth), matches))
    freshest = 1.0 if freshness is None else freshness.upper_bound(snapshot, allowed)
    answers = []
    for row, text in enumerate(queries.texts):
        words = lexical_scores(snapshot, text)
        hits = rows_with_words(snapshot, words, allowed)
        if queries.readable is not None and not queries.readable[row] and len(hits):
            answers.append(_by_words_alone(snapshot, words, hits, k, allowed, freshness))
            continue
        dense = _Dense(snapshot, queries.vectors[row], words, fusion.depth)
        nearest = dense.channel(ordinals[row], similarity[row])
        search = _Fused(
            snapshot, words, hits, matches, fusion, freshness, freshest, nearest.first(fusion.depth)
        )
        found = search.best(nearest, k)
        while found is None:
            fetch = min(GROWTH * len(nearest.ordinals), matches)
            (scores,), (rows,) = find(queries.vectors[row : row + 1], fetch)
            nearest = dense.channel(rows, scores)
            found = search.best(nearest, k)
        answers.append(found)
    return answers


class _Dense:
    """The similarities of one query's rows, which do not depend on how many are found.

    An approximate index may miss a row that is nearer than some that it finds. That row counts as no nearer than the
    last of the first rows, whether a deeper search finds it or its similarity is computed because of its words.

    Args:
        snapshot: what is searched.
        vector: of the query.
        words: the lexical scores of all rows.
        first: how many rows are found at once.
    """

    def __init__(self, snapshot: Snapshot, vector: Vectors, words: NDArray[np.float32], first: int) -> None:
        self._snapshot, self._vector, self._words, self._first = snapshot, vector, words, first

    def channel(self, ordinals: Rows, scores: Scores) -> Channel:
        """The rows that were found, and how to compute the similarity of others."""
        at_most = scores[: self._first][-1]

        def similarity_of(rows: Rows) -> Scores:
            similarity: Scores = np.minimum(self._snapshot.similarity(self._vector, rows), at_most)
            return similarity

        later = self._first + np.flatnonzero(self._words[ordinals[self._first :]])
        if len(later):
            scores = scores.copy()
            scores[later] = similarity_of(ordinals[later])
        return Channel(ordinals, scores, similarity_of)


class _Fused:
    """The fused ranking of one query, by the threshold algorithm of Fagin, Lotem and Naor (PODS 2001).

    The lexical score of every row is known. A row whose similarity is not known is at most as near as the farthest
    row that was found; if that could lift it among the k best, its similarity is computed, or more rows are fetched.

    Args:
        snapshot: what is searched.
        words: the lexical scores of all its rows.
        hits: the allowed rows with a lexical score.
        matches: how many rows are allowed.
        fusion: of the two channels.
        freshness: None ignores time.
        freshest: the highest decay factor of any allowed row.
        nearest: the first rows of the dense channel.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        words: NDArray[np.float32],
        hits: Rows,
        matches: int,
        fusion: HybridFusion,
        freshness: Freshness | None,
        freshest: float,
        nearest: Channel,
    ) -> None:
        self._snapshot, self._words, self._hits, self._matches = snapshot, words, hits, matches
        self._fusion, self._freshness, self._freshest, self._nearest = fusion, freshness, freshest, nearest

    def best(self, dense: Channel, k: int) -> Candidates | None:
        """The k best rows; None if rows that `dense` has not found might be among them."""
        fused = self._fuse(dense, highest(self._words[self._hits], self._hits, self._fusion.depth))
        least = _kth(fused, k)
        more = self._possible(least - ROUNDING)
        more = more[~_among(fused.ordinals, more)]
        if len(more):
            with_words = fused.ordinals[self._words[fused.ordinals] > 0]
            fused = self._fuse(dense, np.concatenate([more, with_words]))
            least = _kth(fused, k)
        if len(dense.ordinals) < self._matches and self._unseen_bound(dense) >= least - ROUNDING:
            return None
        return fused.best(k)

    def _fuse(self, dense: Channel, rows: Rows) -> Candidates:
        """The fused rows, those of the lexical channel in any order."""
        rows = rows[np.lexsort((rows, -self._words[rows]))]
        lexical = Channel(rows, self._words[rows], partial(np.take, self._words))
        return _aged(self._fusion.fuse(dense, lexical), self._snapshot, self._freshness)

    def _possible(self, least: float) -> Rows:
        """The rows with words that may score this much if they are not among the nearest."""
        bounds = self._fusion.bound(self._nearest, self._words[self._hits])
        high = bounds >= least  # before decay, which only lowers them, so that few ages are looked up
        rows = self._hits[high]
        if self._freshness is None:
            return rows
        return rows[decayed(bounds[high], self._freshness.of(self._snapshot, rows)) >= least]

    def _unseen_bound(self, dense: Channel) -> float:
        """The most that rows without any of the words can score that `dense` has not found."""
        bound = self._fusion.bound(dense, np.zeros(1, dtype=np.float32))
        return float(decayed(bound, self._freshest)[0])


def _among(ordinals: Rows, rows: Rows) -> NDArray[np.bool_]:
    """Which rows are among some ordinals, ascending: quicker for a few of them than `np.isin`, which sorts both."""
    places = np.minimum(np.searchsorted(ordinals, rows), len(ordinals) - 1)
    return np.asarray(ordinals[places] == rows)


def _kth(fused: Candidates, k: int) -> float:
    """The k-th highest score after decay; -inf if there are fewer."""
    scores = fused.decayed_scores
    return float(np.partition(scores, -k)[-k]) if len(scores) >= k else -np.inf


def _aged(candidates: Candidates, snapshot: Snapshot, freshness: Freshness | None) -> Candidates:
    if freshness is None:
        return candidates
    return candidates._replace(freshness=freshness.of(snapshot, candidates.ordinals))


def _by_words_alone(
    snapshot: Snapshot,
    words: NDArray[np.float32],
    hits: Rows,
    k: int,
    allowed: Sequence[Selection],
    freshness: Freshness | None,
) -> Candidates:
    """Candidates ranked by words, followed by rows without any of them."""
    if len(hits) < k:
        others = [
            selection.rows + start
            for selection, start in zip(allowed, snapshot.starts.tolist(), strict=False)
        ]
        rest = np.setdiff1d(np.concatenate(others), hits, assume_unique=True)
        hits = np.concatenate([hits, rest[: k - len(hits)]])
    scores = words[hits].astype(np.float64)
    return _aged(
        Candidates(hits, scores, dense_share=0.0, channels={LEXICAL: scores}), snapshot, freshness
    ).best(k)
