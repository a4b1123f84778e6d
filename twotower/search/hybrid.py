"""Hybrid recall: fuses lexical recall (BM25) and dense recall into one ranking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.recall.bm25 import CollectionStatistics, LivePostings
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.tokenizer import words_of
from twotower.search.candidates import NO_CANDIDATES, Candidates, nearest_candidates
from twotower.search.freshness import Freshness, decayed
from twotower.search.query_encoding import EncodedQueries
from twotower.types import Scores, Vectors

DENSE = "dense"
LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class Channel:
    """The rows that one channel found for one query.

    Args:
        ordinals: shape (m,), best first.
        scores: of these rows, shape (m,).
        scores_of: computes the channel's scores of any rows, found or not.
    """

    ordinals: Rows
    scores: NDArray[np.floating]
    scores_of: Callable[[Rows], NDArray[np.float64]]

    def scores_at(self, ordinals: Rows) -> NDArray[np.float64]:
        """The scores of rows, ascending and including all that were found, whose scores are not computed again."""
        scores = np.zeros(len(ordinals))
        found = np.searchsorted(ordinals, self.ordinals)
        scores[found] = self.scores
        rest = np.ones(len(ordinals), dtype=np.bool_)
        rest[found] = False
        if rest.any():
            scores[rest] = self.scores_of(ordinals[rest])
        return scores


class HybridFusion(Protocol):
    """Combines the scores of two channels into one."""

    @property
    def depth(self) -> int:
        """How many rows of each channel are fused, at least."""
        ...

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """The rows of both channels with their fused scores, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Reciprocal rank fusion: the sum of 1 / (constant + rank), divided by its value for two first ranks.

    Source: Cormack, Clarke and Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods".

    Args:
        constant: dampens the top ranks, above 0.
        depth: how many rows of each channel are fused, at least 1.
    """

    constant: float = 60.0
    depth: int = 100

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"method": "reciprocal rank", **asdict(self)}

    def __post_init__(self) -> None:
        if not self.constant > 0 or self.depth < 1:
            raise ValueError(
                f"constant must be above 0 and depth at least 1, got {self.constant} and {self.depth}"
            )

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """See `HybridFusion.fuse`."""
        ordinals = np.union1d(dense.ordinals, lexical.ordinals)
        channels = {
            DENSE: self._shares(ordinals, dense.ordinals),
            LEXICAL: self._shares(ordinals, lexical.ordinals),
        }
        score = np.sum(list(channels.values()), axis=0)
        return Candidates(ordinals, score, dense_share=0.0, channels=channels)

    def _shares(self, ordinals: Rows, ranking: Rows) -> NDArray[np.float64]:
        shares = np.zeros(len(ordinals))
        places = np.searchsorted(ordinals, ranking)
        shares[places] = (self.constant + 1) / 2 / (self.constant + 1 + np.arange(len(ranking)))
        return shares


@dataclass(frozen=True, slots=True)
class Convex:
    """Fuse by score: (1 - lexical_weight) * similarity + lexical_weight * lexical.

    The lexical score is BM25 divided by its upper bound for the query's words, so that it does not depend on the
    other candidates.

    Source: Bruch, Gai and Ingber 2023, "An analysis of fusion functions for hybrid retrieval", with the upper
    bound in place of the largest score.

    Args:
        lexical_weight: in [0, 1].
        depth: how many rows of each channel are fused, at least 1.
    """

    lexical_weight: float = 0.6
    depth: int = 100

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"method": "convex", **asdict(self)}

    def __post_init__(self) -> None:
        if not 0 <= self.lexical_weight <= 1 or self.depth < 1:
            raise ValueError(
                f"lexical_weight must be in [0, 1] and depth at least 1, got {self.lexical_weight} and {self.depth}"
            )

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """See `HybridFusion.fuse`."""
        ordinals = np.union1d(dense.ordinals, lexical.ordinals)
        share = 1 - self.lexical_weight
        similarity = dense.scores_at(ordinals)
        words = self.lexical_weight * lexical.scores_at(ordinals)
        return Candidates(
            ordinals,
            share * similarity + words,
            similarity=similarity,
            dense_share=share,
            channels={LEXICAL: words},
        )


# Chosen on the train judgements of seven kinds of query; between 0.55 and 0.75 the differences are noise.
DEFAULT_FUSION = Convex(lexical_weight=0.6)


def hybrid_fusion_from(description: Mapping[str, Any]) -> ReciprocalRank | Convex:
    """Rebuild a fusion from its description.

    Raises:
        KeyError: there is no such method.
    """
    settings = dict(description)
    methods: Mapping[str, type[ReciprocalRank | Convex]] = {
        "reciprocal rank": ReciprocalRank,
        "convex": Convex,
    }
    return methods[settings.pop("method")](**settings)


def hybrid_candidates(
    snapshot: Snapshot,
    queries: EncodedQueries,
    k: int,
    *,
    fusion: HybridFusion,
    allowed: Sequence[Selection],
    freshness: Freshness | None,
) -> list[Candidates]:
    """Find the k best rows of each query by words and vectors combined.

    If the encoder cannot read a query's words, its vector is noise, and the lexical channel decides alone, provided
    that any item contains the words.

    Args:
        snapshot: what to search.
        queries: with words.
        k: at least 1.
        fusion: of the two channels.
        allowed: from `Snapshot.allowed`.
        freshness: the decay at the present; None ignores time.

    Returns:
        min(k, allowed rows) candidates for each query.
    """
    fetch = min(max(k, fusion.depth), sum([selection.count for selection in allowed]))
    if not fetch:
        return [NO_CANDIDATES] * len(queries.texts)
    near = _dense(snapshot, queries.vectors, fetch, allowed, freshness)
    postings = [part.postings for part in snapshot.parts]
    answers = []
    for row, (text, dense) in enumerate(zip(queries.texts, near, strict=True)):
        lexical = _lexical(snapshot, postings, words_of(text), fetch, allowed, freshness)
        unreadable = queries.readable is not None and not queries.readable[row]
        alone = unreadable and len(lexical.ordinals) > 0
        fused = _lexical_alone(dense, lexical) if alone else fusion.fuse(dense, lexical)
        answers.append(_best(snapshot, fused, k, freshness))
    return answers


def _dense(
    snapshot: Snapshot,
    queries: Vectors,
    fetch: int,
    allowed: Sequence[Selection],
    freshness: Freshness | None,
) -> Iterator[Channel]:
    """The nearest rows and, under decay, also those that rank highest after it, by descending similarity."""
    found = nearest_candidates(snapshot, queries, fetch, allowed=allowed, freshness=None)
    fresh = found
    if freshness is not None:
        fresh = nearest_candidates(snapshot, queries, fetch, allowed=allowed, freshness=freshness)
    for query, near, aged in zip(queries, found, fresh, strict=True):
        more = np.isin(aged.ordinals, near.ordinals, invert=True)
        ordinals = np.concatenate([near.ordinals, aged.ordinals[more]])
        scores = np.concatenate([near.scores, aged.scores[more]])
        order = np.lexsort((ordinals, -scores))
        yield Channel(ordinals[order], scores[order], _similarity_to(query, snapshot))


def _similarity_to(query: Vectors, snapshot: Snapshot) -> Callable[[Rows], NDArray[np.float64]]:
    precise_query = query.astype(np.float64)
    return lambda ordinals: snapshot.vectors_at(ordinals).astype(np.float64) @ precise_query


def _lexical(
    snapshot: Snapshot,
    postings: Sequence[LivePostings],
    words: Sequence[str],
    fetch: int,
    allowed: Sequence[Selection],
    freshness: Freshness | None,
) -> Channel:
    """The best rows by BM25, divided by its upper bound, and under decay also those that rank highest after it."""
    statistics = CollectionStatistics.of(postings, words)
    scores = [np.zeros(0, dtype=np.float32), *(statistics.scores(part.postings, words) for part in postings)]
    table: Scores = np.concatenate(scores)
    bound = statistics.upper_bound(words) or 1.0
    starts = snapshot.starts
    hits = [np.zeros(0, dtype=np.int64)]
    for start, end, selection in zip(starts[:-1], starts[1:], allowed, strict=True):
        rows = np.flatnonzero(table[start:end])
        hits.append(rows[selection.mask[rows]] + start)
    found = np.concatenate(hits)
    kept = _highest(table[found], found, fetch)
    if freshness is not None and len(found) > fetch:
        aged = decayed(table[found], freshness.of(snapshot, found))
        kept = np.union1d(kept, _highest(aged, found, fetch))
    best = kept[np.lexsort((kept, -table[kept]))]
    return Channel(
        best, table[best].astype(np.float64) / bound, lambda rows: table[rows].astype(np.float64) / bound
    )


def _highest(scores: NDArray[np.floating], ordinals: Rows, count: int) -> Rows:
    """The ordinals of the highest scores; ties are broken by the older write."""
    if len(ordinals) > count:  # ties at the cut are kept until they are sorted
        least = np.partition(scores, -count)[-count]
        scores, ordinals = scores[scores >= least], ordinals[scores >= least]
    return ordinals[np.lexsort((ordinals, -scores))[:count]]


def _lexical_alone(dense: Channel, lexical: Channel) -> Candidates:
    """Candidates ranked by words, followed by the nearest rows without any of them."""
    ordinals = np.union1d(dense.ordinals, lexical.ordinals)
    scores = lexical.scores_at(ordinals)
    return Candidates(ordinals, scores, dense_share=0.0, channels={LEXICAL: scores})


def _best(snapshot: Snapshot, fused: Candidates, k: int, freshness: Freshness | None) -> Candidates:
    """The k best after decay, best first."""
    if freshness is not None:
        fused = fused._replace(freshness=freshness.of(snapshot, fused.ordinals))
    return fused.take(np.lexsort((fused.ordinals, -fused.decayed_scores))[:k])
