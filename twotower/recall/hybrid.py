"""Words beside vectors: two rankings of one index as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.recall.candidates import Candidates, Clock
from twotower.recall.lexical import words_of
from twotower.recall.postings import Postings, Statistics
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.types import Scores, Vectors

DENSE = "dense"
LEXICAL = "lexical"
OVERFETCH = 4  # times as many of each channel under decay, so that what is fresh is among them

Lookup: TypeAlias = Callable[[Rows], NDArray[np.float64]]
"""A channel's scores of m rows, shape (m,)."""


@dataclass(frozen=True, slots=True)
class Channel:
    """What one channel found for one query.

    Args:
        ordinals: shape (m,), best first.
        scores_of: its score of any rows, found or not.
    """

    ordinals: Rows
    scores_of: Lookup


class Fusion(Protocol):
    """Makes one score of two channels."""

    @property
    def depth(self) -> int:
        """How many rows of each channel it looks at, at least."""
        ...

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """The rows of both channels, in any order, with arrays of shape (m,)."""
        ...


@dataclass(frozen=True, slots=True)
class ReciprocalRank:
    """Fuse by rank alone: the sum of 1 / (constant + rank), as a share of what two first ranks would bring.

    Source: Cormack, Clarke and Buettcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank
    learning methods".

    Args:
        constant: dampens the first ranks, above 0.
        depth: how many rows of each channel are fused, at least 1.
    """

    constant: float = 60.0
    depth: int = 100

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"method": "reciprocal rank", **asdict(self)}

    def __post_init__(self) -> None:
        if not self.constant > 0 or self.depth < 1:
            raise ValueError(f"constant={self.constant} must be above 0 and depth={self.depth} at least 1")

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """See `Fusion.fuse`."""
        ordinals = np.union1d(dense.ordinals, lexical.ordinals)
        channels = {
            DENSE: self._shares(ordinals, dense.ordinals),
            LEXICAL: self._shares(ordinals, lexical.ordinals),
        }
        score = np.sum(list(channels.values()), axis=0)
        return Candidates(ordinals, score, None, vectors_share=0.0, channels=channels)

    def _shares(self, ordinals: Rows, ranking: Rows) -> NDArray[np.float64]:
        shares = np.zeros(len(ordinals))
        places = np.searchsorted(ordinals, ranking)
        shares[places] = (self.constant + 1) / 2 / (self.constant + 1 + np.arange(len(ranking)))
        return shares


@dataclass(frozen=True, slots=True)
class Convex:
    """Fuse by score: (1 - lexical_weight) * similarity + lexical_weight * lexical.

    The lexical score is BM25 as a share of the bound that no item can reach for the query's words, so it does not
    depend on which other items there are among the candidates.

    Source: Bruch, Gai and Ingber 2023, "An analysis of fusion functions for hybrid retrieval", with the bound in
    place of the largest score.

    Args:
        lexical_weight: in [0, 1].
        depth: how many rows of each channel are looked at, at least 1.
    """

    lexical_weight: float = 0.5
    depth: int = 100

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values."""
        return {"method": "convex", **asdict(self)}

    def __post_init__(self) -> None:
        if not 0 <= self.lexical_weight <= 1 or self.depth < 1:
            raise ValueError(
                f"lexical_weight={self.lexical_weight} must be in [0, 1] and depth={self.depth} at least 1"
            )

    def fuse(self, dense: Channel, lexical: Channel, /) -> Candidates:
        """See `Fusion.fuse`."""
        ordinals = np.union1d(dense.ordinals, lexical.ordinals)
        share = 1 - self.lexical_weight
        words = self.lexical_weight * lexical.scores_of(ordinals)
        score = share * dense.scores_of(ordinals) + words
        return Candidates(ordinals, score, None, vectors_share=share, channels={LEXICAL: words})


def fusion_from(description: Mapping[str, Any]) -> ReciprocalRank | Convex:
    """Build the fusion that `describe` described.

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
    words: Sequence[str],
    queries: Vectors,
    k: int,
    *,
    fusion: Fusion,
    allowed: Sequence[Selection],
    clock: Clock,
) -> list[Candidates]:
    """Find the k best rows of each query by words and vectors together.

    Args:
        snapshot: what to search.
        words: of each of q queries.
        queries: float32 of shape (q, dim), unit rows.
        k: at least 1.
        fusion: of the two channels.
        allowed: as `Snapshot.allowed` gives it.
        clock: what age does to a score now.

    Returns:
        For each query min(k, allowed rows) candidates or more, arrays of shape (m,), best first.
    """
    matches = sum(selection.count for selection in allowed)
    fetch = min(max(k, fusion.depth) * (1 if clock.decay is None else OVERFETCH), matches)
    if not fetch:
        nothing = Candidates(np.zeros(0, dtype=np.int64), np.zeros(0), None)
        return [nothing for _ in queries]
    _, found = snapshot.search(queries, fetch, allowed)
    postings = [part.postings for part in snapshot.parts]
    return [
        _best(
            snapshot,
            fusion.fuse(
                Channel(ordinals, _similarity(snapshot, query)),
                _lexical(snapshot, postings, words_of(text), fetch, allowed),
            ),
            k,
            clock,
        )
        for text, query, ordinals in zip(words, queries, found, strict=True)
    ]


def _similarity(snapshot: Snapshot, query: Vectors) -> Lookup:
    wide = query.astype(np.float64)
    return lambda ordinals: snapshot.vectors_at(ordinals).astype(np.float64) @ wide


def _lexical(
    snapshot: Snapshot,
    postings: Sequence[Postings],
    words: Sequence[str],
    fetch: int,
    allowed: Sequence[Selection],
) -> Channel:
    statistics = Statistics.of(postings, words)
    scores = [np.zeros(0, dtype=np.float32), *(statistics.scores(part, words) for part in postings)]
    table: Scores = np.concatenate(scores)
    bound = statistics.best(words) or 1.0
    starts = snapshot.starts
    hits = [np.zeros(0, dtype=np.int64)]
    for start, end, selection in zip(starts[:-1], starts[1:], allowed, strict=True):
        rows = np.flatnonzero(table[start:end])
        hits.append(rows[selection.mask[rows]] + start)
    ordinals = np.concatenate(hits)
    if len(ordinals) > fetch:  # ties at the cut are kept until they are put in order
        least = np.partition(table[ordinals], -fetch)[-fetch]
        ordinals = ordinals[table[ordinals] >= least]
    best = np.lexsort((ordinals, -table[ordinals]))[:fetch]
    return Channel(ordinals[best], lambda rows: table[rows].astype(np.float64) / bound)


def _best(snapshot: Snapshot, fused: Candidates, k: int, clock: Clock) -> Candidates:
    """The k best after decay, best first."""
    freshness = None if clock.decay is None else clock.freshness(snapshot, fused.ordinals)
    aged = replace(fused, freshness=freshness)
    return aged[np.lexsort((fused.ordinals, -aged.score))[:k]]
