"""Hybrid recall: fuses lexical recall (BM25) and dense recall into one ranking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.recall.candidates import NO_CANDIDATES, Candidates
from twotower.recall.dense import dense_candidates
from twotower.recall.freshness import Freshness
from twotower.recall.lexical import best_by_words, lexical_scores
from twotower.recall.queries import EncodedQueries
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import Vectors

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
    scores_of: Callable[[Rows], NDArray[np.floating]]

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
    near = dense_candidates(
        snapshot, queries.vectors, fetch, allowed=allowed, freshness=freshness, nearest_too=True
    )
    answers = []
    for row, (text, found) in enumerate(zip(queries.texts, near, strict=True)):
        dense = Channel(found.ordinals, found.scores, _similarity_to(queries.vectors[row], snapshot))
        scores = lexical_scores(snapshot, text)
        ordinals = best_by_words(snapshot, scores, fetch, allowed=allowed, freshness=freshness)
        lexical = Channel(ordinals, scores[ordinals], partial(np.take, scores))
        unreadable = queries.readable is not None and not queries.readable[row]
        fused = (
            _lexical_alone(dense, lexical) if unreadable and len(ordinals) else fusion.fuse(dense, lexical)
        )
        if freshness is not None:
            fused = fused._replace(freshness=freshness.of(snapshot, fused.ordinals))
        answers.append(fused.best(k))
    return answers


def _similarity_to(query: Vectors, snapshot: Snapshot) -> Callable[[Rows], NDArray[np.float64]]:
    precise_query = query.astype(np.float64)
    return lambda ordinals: snapshot.vectors_at(ordinals).astype(np.float64) @ precise_query


def _lexical_alone(dense: Channel, lexical: Channel) -> Candidates:
    """Candidates ranked by words, followed by the nearest rows without any of them."""
    ordinals = np.union1d(dense.ordinals, lexical.ordinals)
    scores = lexical.scores_at(ordinals)
    return Candidates(ordinals, scores, dense_share=0.0, channels={LEXICAL: scores})
