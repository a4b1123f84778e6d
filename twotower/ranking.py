"""The stages after encoding: recall, rerank, decay, and an explanation that adds up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from twotower.errors import QueryError
from twotower.recall.candidates import Candidates, Clock, best_candidates, decayed
from twotower.recall.segment import Labels
from twotower.recall.snapshot import Snapshot, inner_products
from twotower.recall.vector_index import Mask
from twotower.types import Decay, Hit, Reranker, Vectors, Where

QUERY = "query"  # the part of a query vector from words and photo; blocks tell it apart further
USER = "user"
FRESHNESS = "freshness"
RELEVANCE = "relevance"


@dataclass(frozen=True, slots=True)
class Asked:
    """One encoded query.

    Args:
        words: what the reranker reads; "" where there is nothing to read.
        parts: vectors of shape (dim,) by name, whose sum is the query vector of unit length.
        exclude: labels that must not be found.
    """

    words: str
    parts: Mapping[str, Vectors]
    exclude: Labels = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def vector(self) -> Vectors:
        """The query vector, float32 of shape (dim,)."""
        return np.asarray(np.sum(list(self.parts.values()), axis=0, dtype=np.float64), dtype=np.float32)

    def within(self, columns: slice) -> Asked:
        """The same query by some columns alone; its vector is shorter then, which no ranking minds."""
        parts = {name: np.zeros_like(part) for name, part in self.parts.items()}
        for name, part in self.parts.items():
            parts[name][columns] = part[columns]
        return replace(self, parts=parts)


@dataclass(frozen=True, slots=True)
class Ranking:
    """How candidates are ordered.

    score = ((1 - relevance_weight) * similarity + relevance_weight * relevance) * freshness

    with the similarity of recall in [-1, 1], the reranker's relevance in [0, 1], and the decay's freshness in
    (0, 1]; without reranker, or for a query without words, score = similarity * freshness. A score that is not
    positive is left alone by freshness, which would raise it.

    Args:
        reranker: None to rank by similarity.
        decay: None to ignore time.
        rerank_depth: how many candidates the reranker reads, at least 1.
        relevance_weight: in [0, 1].
        blocks: columns of the vectors by name, to tell apart the parts of a similarity.
        modality: the one block whose similarity counts; None for all of them.

    Raises:
        ValueError: a number is out of its range, or there is no such block.
    """

    reranker: Reranker | None
    decay: Decay | None
    rerank_depth: int
    relevance_weight: float
    blocks: Mapping[str, slice] = field(default_factory=dict)
    modality: str | None = None

    def __post_init__(self) -> None:
        if self.modality is not None and self.modality not in self.blocks:
            known = ", ".join(map(repr, self.blocks)) or "none"
            raise ValueError(f"modality={self.modality!r} is not a part of the vectors; these are: {known}")
        if not 0 <= self.relevance_weight <= 1:
            raise ValueError(f"relevance_weight={self.relevance_weight} must be a share in [0, 1]")
        if self.rerank_depth < 1:
            raise ValueError(f"rerank_depth={self.rerank_depth} must be at least 1")

    def rank(
        self, snapshot: Snapshot, asked: Sequence[Asked], k: int, *, where: Where | None, now_days: float
    ) -> list[list[Hit]]:
        """Answer n queries from one state of the index.

        Args:
            snapshot: the state.
            asked: n queries.
            k: hits a query.
            where: a filter, or None.
            now_days: the present, in days since 1970.

        Returns:
            n lists of at most k hits, best first.
        """
        clock = Clock(self.decay, now_days)
        allowed = snapshot.allowed(where)
        if self.modality is not None:
            asked = [query.within(self.blocks[self.modality]) for query in asked]
        found = [self._recall(snapshot, query, k, allowed, clock) for query in asked]
        relevance = self._relevance(snapshot, asked, found)
        return [
            self._hits(snapshot, query, candidates, scores, k)
            for query, candidates, scores in zip(asked, found, relevance, strict=True)
        ]

    def _reads(self, query: Asked) -> bool:
        return self.reranker is not None and bool(query.words)

    def _recall(
        self, snapshot: Snapshot, query: Asked, k: int, allowed: Sequence[Mask], clock: Clock
    ) -> Candidates:
        if not query.vector.any():  # it lacks the one modality that is asked for
            return Candidates(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32), np.zeros(0))
        depth = max(k, self.rerank_depth) if self._reads(query) else k
        allowed = _without(snapshot, allowed, query.exclude)
        ceiling = clock.ceiling(snapshot, allowed)
        return best_candidates(snapshot, query.vector, depth, allowed=allowed, clock=clock, ceiling=ceiling)

    def _relevance(
        self, snapshot: Snapshot, asked: Sequence[Asked], found: Sequence[Candidates]
    ) -> list[NDArray[np.float32] | None]:
        """What the reranker says of every candidate of every query, in one call."""
        if self.reranker is None:
            return [None] * len(asked)
        pairs = [
            [(query.words, item.words) for item in snapshot.items_at(candidates.ordinals)]
            if query.words
            else []
            for query, candidates in zip(asked, found, strict=True)
        ]
        flat = [pair for group in pairs for pair in group]
        scores = _checked(self.reranker.score(flat), len(flat)) if flat else np.zeros(0, dtype=np.float32)
        groups = np.split(scores, np.cumsum([len(group) for group in pairs])[:-1])
        return [group if query.words else None for query, group in zip(asked, groups, strict=True)]

    def _hits(
        self,
        snapshot: Snapshot,
        query: Asked,
        candidates: Candidates,
        relevance: NDArray[np.float32] | None,
        k: int,
    ) -> list[Hit]:
        weight = 0.0 if relevance is None else self.relevance_weight
        parts = self._parts(query, snapshot.vectors_at(candidates.ordinals))
        explained = {name: (1 - weight) * part for name, part in parts.items()}
        if relevance is not None:
            explained[RELEVANCE] = weight * relevance.astype(np.float64)
        total = np.sum(list(explained.values()), axis=0)  # (m,)
        if self.decay is not None:
            explained[FRESHNESS] = np.where(total > 0, candidates.freshness, 1.0)
        final = decayed(total, candidates.freshness)
        order = np.lexsort((candidates.ordinals, -final))[:k]
        items = snapshot.items_at(candidates.ordinals[order])
        return [
            Hit(item, float(final[row]), {name: float(values[row]) for name, values in explained.items()})
            for item, row in zip(items, order, strict=True)
        ]

    def _parts(self, query: Asked, vectors: Vectors) -> dict[str, NDArray[np.float64]]:
        """The similarity of m candidates, taken apart by part of the query and by block; each (m,)."""
        parts: dict[str, NDArray[np.float64]] = {}
        for name, vector in query.parts.items():
            if name == QUERY:
                for block, columns in (self.blocks or {"similarity": slice(None)}).items():
                    parts[block] = inner_products(vectors[:, columns], vector[columns]).astype(np.float64)
            else:
                parts[name] = inner_products(vectors, vector).astype(np.float64)
        return parts


def blend(query: Vectors | None, user: Vectors | None, user_weight: float) -> dict[str, Vectors]:
    """Combine the unit vectors of a query and a user; the sum of the parts has unit length.

    Args:
        query: float32 of shape (dim,), or None.
        user: float32 of shape (dim,), or None.
        user_weight: share of the user where there are both, in [0, 1].

    Returns:
        The parts by name.
    """
    if query is None or user is None:
        return {name: part for name, part in ((QUERY, query), (USER, user)) if part is not None}
    parts = {QUERY: (1 - user_weight) * query, USER: user_weight * user}
    length = math.sqrt(float(np.square(sum(part.astype(np.float64) for part in parts.values())).sum()))
    if length < 1e-6:  # the two cancel out: the query is what was asked for
        return {QUERY: query}
    return {name: np.asarray(part / length, dtype=np.float32) for name, part in parts.items()}


def _without(snapshot: Snapshot, allowed: Sequence[Mask], labels: Labels) -> Sequence[Mask]:
    if not labels.size:
        return allowed
    masks = [mask.copy() for mask in allowed]
    for part, mask in zip(snapshot.parts, masks, strict=True):
        rows = part.segment.rows_of(labels)
        mask[rows[rows >= 0]] = False
    return masks


def _checked(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    scores = np.asarray(scores, dtype=np.float32)
    if scores.shape != (count,) or not bool(np.all((scores >= 0) & (scores <= 1))):
        raise QueryError(
            f"the reranker gave an array of shape {scores.shape} for {count} pairs: it must give one number in "
            "[0, 1] for each, so map logits through a sigmoid"
        )
    return scores
