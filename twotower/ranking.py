"""The stages after encoding: recall, rerank, decay, and an explanation that adds up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from twotower.errors import QueryError
from twotower.recall.candidates import SLACK, Candidates, Clock, best_candidates, decayed
from twotower.recall.plan import Plan
from twotower.recall.segment import Labels
from twotower.recall.snapshot import Snapshot
from twotower.types import Decay, Hit, Reranker, Vectors, Where

QUERY = "query"  # the part of a query vector from words and photo; blocks tell it apart further
USER = "user"
SIMILARITY = "similarity"
FRESHNESS = "freshness"
RELEVANCE = "relevance"


@dataclass(frozen=True, slots=True)
class Asked:
    """One encoded query.

    Args:
        words: what the reranker reads; "" where there is nothing to read.
        parts: vectors of shape (dim,) by name, whose sum is the query vector of unit length.
    """

    words: str
    parts: Mapping[str, Vectors]

    @property
    def vector(self) -> Vectors:
        """The query vector, float32 of shape (dim,)."""
        parts = list(self.parts.values())
        return (
            parts[0] if len(parts) == 1 else np.asarray(np.sum(parts, axis=0, dtype=np.float64), np.float32)
        )

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
        self,
        snapshot: Snapshot,
        asked: Sequence[Asked],
        k: int,
        *,
        where: Where | None,
        now_days: float,
        exclude: Labels | None = None,
    ) -> list[list[Hit]]:
        """Answer q queries from one state of the index.

        Args:
            snapshot: the state.
            asked: q queries.
            k: hits a query.
            where: a filter, or None.
            now_days: the present, in days since 1970.
            exclude: labels that must not be found.

        Returns:
            q lists of at most k hits, best first.
        """
        allowed = snapshot.allowed(where, exclude)
        clock = Clock(self.decay, now_days)
        if self.modality is not None:
            asked = [query.within(self.blocks[self.modality]) for query in asked]
        hits: list[list[Hit]] = [[] for _ in asked]
        for group, reads in self._groups(asked):
            if group:
                queries = [asked[number] for number in group]
                depth = max(k, self.rerank_depth) if reads else k
                vectors = np.array([query.vector for query in queries])
                found = best_candidates(snapshot, vectors, depth, allowed=allowed, clock=clock)
                answers = (
                    self._reranked(snapshot, queries, found, k)
                    if reads
                    else self._as_recalled(snapshot, queries, found)
                )
                for number, answer in zip(group, answers, strict=True):
                    hits[number] = answer
        return hits

    def plans(self, snapshot: Snapshot, k: int, *, where: Where | None, words: bool) -> list[Plan]:
        """How recall goes about each part of the index.

        Args:
            snapshot: the state.
            k: hits a query.
            where: a filter, or None.
            words: whether the query has words, which a reranker would read beside more candidates.
        """
        depth = max(k, self.rerank_depth) if words and self.reranker is not None else k
        return snapshot.plans(depth + SLACK, snapshot.allowed(where))

    def _groups(self, asked: Sequence[Asked]) -> Iterator[tuple[Sequence[int], bool]]:
        """Queries that are answered alike, and whether the reranker reads them; none without a direction."""
        searched = [number for number, query in enumerate(asked) if query.parts]
        if self.modality is not None:
            searched = [number for number in searched if asked[number].vector.any()]
        if self.reranker is None:
            yield searched, False
        else:
            yield [number for number in searched if asked[number].words], True
            yield [number for number in searched if not asked[number].words], False

    def _as_recalled(
        self, snapshot: Snapshot, queries: Sequence[Asked], found: Candidates
    ) -> Iterator[list[Hit]]:
        """Hits in the order of recall."""
        items = iter(snapshot.items_at(found.ordinals.ravel()))
        for row, (query, scores) in enumerate(zip(queries, found.score.tolist(), strict=True)):
            explained = self._explained(snapshot, query, found.of(row), None)
            yield [Hit(next(items), score, parts) for score, parts in zip(scores, explained, strict=True)]

    def _reranked(
        self, snapshot: Snapshot, queries: Sequence[Asked], found: Candidates, k: int
    ) -> Iterator[list[Hit]]:
        """Hits in the order of similarity and relevance together; the reranker reads all pairs in one call."""
        items = snapshot.items_at(found.ordinals.ravel())
        words = (query.words for query in queries for _ in range(found.ordinals.shape[1]))
        relevance = self._relevance([(word, item.words) for word, item in zip(words, items, strict=True)])
        relevance = relevance.reshape(found.ordinals.shape)
        total = (1 - self.relevance_weight) * found.similarity + self.relevance_weight * relevance
        final = total if found.freshness is None else decayed(total, found.freshness)
        best = np.lexsort((found.ordinals, -final))[:, :k]
        for row, (query, order) in enumerate(zip(queries, best, strict=True)):
            explained = self._explained(snapshot, query, found.of(row, order), relevance[row, order])
            first = row * found.ordinals.shape[1]
            yield [
                Hit(items[first + place], score, parts)
                for place, score, parts in zip(
                    order.tolist(), final[row, order].tolist(), explained, strict=True
                )
            ]

    def _relevance(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
        if self.reranker is None or not pairs:
            return np.zeros(0)
        return _checked(self.reranker.score(pairs), len(pairs)).astype(np.float64)

    def _explained(
        self,
        snapshot: Snapshot,
        query: Asked,
        found: Candidates,
        relevance: NDArray[np.float64] | None,
    ) -> list[dict[str, float]]:
        """What the score of each of m candidates of one query adds up from.

        Args:
            snapshot: the state.
            query: the query.
            found: of this query alone, its arrays of shape (m,).
            relevance: shape (m,), or None where nothing was read.
        """
        if not self.blocks and USER not in query.parts:
            if relevance is None and found.freshness is None:
                return [{SIMILARITY: score} for score in found.similarity.tolist()]
            parts = {SIMILARITY: found.similarity.astype(np.float64)}
        else:
            parts = self._parts(query, snapshot.vectors_at(found.ordinals))
        weight = 0.0 if relevance is None else self.relevance_weight
        explained = {name: (1 - weight) * part for name, part in parts.items()}
        if relevance is not None:
            explained[RELEVANCE] = weight * relevance
        if found.freshness is not None:
            total = np.sum(list(explained.values()), axis=0)
            explained[FRESHNESS] = np.where(total > 0, found.freshness, 1.0)
        columns = [part.tolist() for part in explained.values()]
        return [dict(zip(explained, values, strict=True)) for values in zip(*columns, strict=True)]

    def _parts(self, query: Asked, vectors: Vectors) -> dict[str, NDArray[np.float64]]:
        """The similarity of m candidates, taken apart by part of the query and by block; each (m,)."""
        wide = vectors.astype(np.float64)
        parts: dict[str, NDArray[np.float64]] = {}
        for name, vector in query.parts.items():
            if name == QUERY:
                for block, columns in (self.blocks or {SIMILARITY: slice(None)}).items():
                    parts[block] = wide[:, columns] @ vector[columns]
            else:
                parts[name] = wide @ vector
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


def _checked(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    scores = np.asarray(scores, dtype=np.float32)
    if scores.shape != (count,) or not bool(np.all((scores >= 0) & (scores <= 1))):
        raise QueryError(
            f"the reranker gave an array of shape {scores.shape} for {count} pairs: it must give one number in "
            "[0, 1] for each, so map logits through a sigmoid"
        )
    return scores
