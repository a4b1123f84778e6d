"""The stages after encoding: recall, rerank, decay, and an explanation that adds up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from twotower.recall.candidates import SLACK, Candidates, Clock, best_candidates, decayed
from twotower.recall.hybrid import Fusion, hybrid_candidates
from twotower.recall.plan import Plan
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.terms import Terms
from twotower.types import Decay, Hit, Reranked, Staged, Vectors, Where

QUERY = "query"  # the part of a query vector from words and photo; blocks tell it apart further
USER = "user"
SIMILARITY = "similarity"
FRESHNESS = "freshness"
RELEVANCE = "relevance"
DEPTH = 100  # candidates to rerank where nobody says how many


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

    with the similarity of recall in [-1, 1] (under `hybrid`, what that makes of it and of the words, no larger), the
    reranker's relevance in [0, 1], and the decay's freshness in (0, 1]; without reranker, or for a query without
    words, score = similarity * freshness. A score that is not positive is left alone by freshness, which would raise
    it. The relevance of a candidate that was not read, for want of time or because it is too far down, is 0.

    Args:
        reranker: None to rank by similarity.
        decay: None to ignore time.
        rerank_depth: how many candidates the reranker may read, at least 1; None is as many as it reads at most, or
            `DEPTH` if that is all.
        relevance_weight: in [0, 1].
        blocks: columns of the vectors by name, to tell apart the parts of a similarity.
        modality: the one block whose similarity counts; None for all of them.
        hybrid: how a query's words find items beside its vector; None recalls by vectors alone.

    Raises:
        ValueError: a number is out of its range, or there is no such block.
    """

    reranker: Staged | None
    decay: Decay | None
    rerank_depth: int | None
    relevance_weight: float
    blocks: Mapping[str, slice] = field(default_factory=dict)
    modality: str | None = None
    hybrid: Fusion | None = None

    def __post_init__(self) -> None:
        if self.modality is not None and self.modality not in self.blocks:
            known = ", ".join(map(repr, self.blocks)) or "none"
            raise ValueError(f"modality={self.modality!r} is not a part of the vectors; these are: {known}")
        if not 0 <= self.relevance_weight <= 1:
            raise ValueError(f"relevance_weight={self.relevance_weight} must be a share in [0, 1]")
        if self.rerank_depth is not None and self.rerank_depth < 1:
            raise ValueError(f"rerank_depth={self.rerank_depth} must be at least 1")

    def rank(self, snapshot: Snapshot, asked: Sequence[Asked], terms: Terms) -> list[list[Hit]]:
        """Answer q queries from one state of the index.

        Args:
            snapshot: the state.
            asked: q queries.
            terms: for all of them.

        Returns:
            q lists of at most k hits, best first.
        """
        allowed = snapshot.allowed(terms.where, terms.exclude)
        clock = Clock(self.decay, terms.now_days)
        if self.modality is not None:
            asked = [query.within(self.blocks[self.modality]) for query in asked]
        hits: list[list[Hit]] = [[] for _ in asked]
        for group in self._groups(asked):
            queries = [asked[number] for number in group]
            reranker = self.reranker if queries[0].words else None
            depth = terms.k if reranker is None else max(terms.k, self._depth)
            found = self._recalled(snapshot, queries, depth, allowed, clock)
            if reranker is not None:
                answers = self._reranked(reranker, snapshot, queries, found, terms)
            elif isinstance(found, Candidates) and (name := self._undivided(queries)):
                answers = _plain(name, snapshot, found)
            else:
                answers = self._as_recalled(snapshot, queries, found)
            for number, answer in zip(group, answers, strict=True):
                hits[number] = answer
        if terms.min_score is not None:
            hits = [[hit for hit in answer if hit.score >= terms.min_score] for answer in hits]
        return hits

    def plans(self, snapshot: Snapshot, k: int, *, where: Where | None, words: bool) -> list[Plan]:
        """How recall goes about each part of the index.

        Args:
            snapshot: the state.
            k: hits a query.
            where: a filter, or None.
            words: whether the query has words, which a reranker would read beside more candidates.
        """
        depth = max(k, self._depth) if words and self.reranker is not None else k
        return snapshot.plans(depth if self.decay is None else depth + SLACK, snapshot.allowed(where))

    @property
    def _depth(self) -> int:
        """How many candidates of a query with words are recalled for the reranker."""
        if self.rerank_depth is not None:
            return self.rerank_depth
        return (self.reranker and self.reranker.depth) or DEPTH

    def _groups(self, asked: Sequence[Asked]) -> Iterator[Sequence[int]]:
        """Queries that are answered alike: with words, and without; none that has no direction."""
        searched = [number for number, query in enumerate(asked) if query.parts]
        if self.modality is not None:
            searched = [number for number in searched if asked[number].vector.any()]
        if self.reranker is None and self.hybrid is None:
            groups = [searched]
        else:
            worded = [number for number in searched if asked[number].words]
            groups = [worded, [number for number in searched if not asked[number].words]]
        yield from filter(None, groups)

    def _recalled(
        self,
        snapshot: Snapshot,
        queries: Sequence[Asked],
        depth: int,
        allowed: Sequence[Selection],
        clock: Clock,
    ) -> Candidates | list[Candidates]:
        """Candidates of each query, best first: as one of many queries where all have equally many."""
        vectors = np.array([query.vector for query in queries])
        if self.hybrid is not None and queries[0].words:
            words = [query.words for query in queries]
            return hybrid_candidates(
                snapshot, words, vectors, depth, fusion=self.hybrid, allowed=allowed, clock=clock
            )
        return best_candidates(snapshot, vectors, depth, allowed=allowed, clock=clock)

    def _undivided(self, queries: Sequence[Asked]) -> str | None:
        """What the score is called where it is one similarity, of which nothing is to be told apart."""
        if self.decay is not None or len(self.blocks) > 1 or any(USER in query.parts for query in queries):
            return None
        return next(iter(self.blocks), SIMILARITY)

    def _as_recalled(
        self, snapshot: Snapshot, queries: Sequence[Asked], recalled: Candidates | Sequence[Candidates]
    ) -> Iterator[list[Hit]]:
        """Hits in the order of recall."""
        found = [recalled[number] for number in range(len(queries))]
        items = iter(snapshot.items_at(np.concatenate([each.ordinals for each in found])))
        for query, each in zip(queries, found, strict=True):
            explained = self._explained(snapshot, query, each, None)
            yield [
                Hit(next(items), score, parts)
                for score, parts in zip(each.score.tolist(), explained, strict=True)
            ]

    def _reranked(
        self,
        reranker: Staged,
        snapshot: Snapshot,
        queries: Sequence[Asked],
        recalled: Candidates | Sequence[Candidates],
        terms: Terms,
    ) -> Iterator[list[Hit]]:
        """Hits in the order of recall and relevance together; the reranker gets all queries in one call."""
        found = [recalled[number] for number in range(len(queries))]
        items = iter(snapshot.items_at(np.concatenate([each.ordinals for each in found])))
        read = [[next(items) for _ in each.ordinals] for each in found]

        def blend(number: int, relevance: NDArray[np.float32]) -> NDArray[np.float64]:
            each, weight = found[number], self.relevance_weight
            total = (1 - weight) * each.recalled + weight * relevance.astype(np.float64)
            return total if each.freshness is None else decayed(total, each.freshness)

        words = [query.words for query in queries]
        texts = [[item.words for item in row] for row in read]
        results = reranker.rerank(words, texts, blend, deadline=terms.deadline)
        for query, each, row, result in zip(queries, found, read, results, strict=True):
            order = result.order[: terms.k]
            scores, ranks = result.scores[order].tolist(), _ranks(result, order)
            explained = self._explained(
                snapshot, query, each[order], result.relevance[order].astype(np.float64)
            )
            yield [
                Hit(row[place], *rest)
                for place, *rest in zip(order.tolist(), scores, explained, ranks, strict=True)
            ]

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
        parts = self._parts(query, snapshot, found)
        weight = 0.0 if relevance is None else self.relevance_weight
        explained = {name: (1 - weight) * part for name, part in parts.items()}
        if relevance is not None:
            explained[RELEVANCE] = weight * relevance
        if found.freshness is not None:
            total = np.sum(list(explained.values()), axis=0)
            explained[FRESHNESS] = np.where(total > 0, found.freshness, 1.0)
        columns = [part.tolist() for part in explained.values()]
        return [dict(zip(explained, values, strict=True)) for values in zip(*columns, strict=True)]

    def _parts(self, query: Asked, snapshot: Snapshot, found: Candidates) -> dict[str, NDArray[np.float64]]:
        """What recall's score adds up from: parts of the query, blocks of the vectors, channels; each (m,)."""
        parts: dict[str, NDArray[np.float64]] = {}
        if found.vectors_share:
            vectors = found.vectors_share * snapshot.vectors_at(found.ordinals).astype(np.float64)
            for name, vector in query.parts.items():
                if name == QUERY:
                    for block, columns in (self.blocks or {SIMILARITY: slice(None)}).items():
                        parts[block] = vectors[:, columns] @ vector[columns]
                else:
                    parts[name] = vectors @ vector
        parts.update(found.channels)
        return parts


def _plain(name: str, snapshot: Snapshot, found: Candidates) -> Iterator[list[Hit]]:
    """Hits whose score is one similarity."""
    items = snapshot.items_at(found.ordinals.ravel())
    width = found.ordinals.shape[1]
    for row, scores in enumerate(found.recalled.tolist()):
        parts = [{name: score} for score in scores]
        yield list(map(Hit, items[row * width : (row + 1) * width], scores, parts))


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


def _ranks(result: Reranked, order: NDArray[np.intp]) -> list[dict[str, int]]:
    """The places of some candidates after each stage that has read them."""
    stages = {name: ranks[order].tolist() for name, ranks in result.ranks.items()}
    return [
        {name: rank for name, rank in zip(stages, ranks, strict=True) if rank}
        for ranks in zip(*stages.values(), strict=True)
    ]
