"""The stages after encoding: recall, rerank, decay, and an explanation that adds up."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from twotower.errors import QueryError
from twotower.recall.candidates import SLACK, Candidates, Clock, best_candidates, decayed
from twotower.recall.hybrid import Fusion, hybrid_candidates
from twotower.recall.plan import Plan
from twotower.recall.segment import Labels
from twotower.recall.selection import Selection
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

    with the similarity of recall in [-1, 1] (under `hybrid`, what that makes of it and of the words, no larger), the
    reranker's relevance in [0, 1], and the decay's freshness in (0, 1]; without reranker, or for a query without
    words, score = similarity * freshness. A score that is not positive is left alone by freshness, which would raise
    it.

    Args:
        reranker: None to rank by similarity.
        decay: None to ignore time.
        rerank_depth: how many candidates the reranker reads, at least 1.
        relevance_weight: in [0, 1].
        blocks: columns of the vectors by name, to tell apart the parts of a similarity.
        modality: the one block whose similarity counts; None for all of them.
        hybrid: how a query's words find items beside its vector; None recalls by vectors alone.

    Raises:
        ValueError: a number is out of its range, or there is no such block.
    """

    reranker: Reranker | None
    decay: Decay | None
    rerank_depth: int
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
        for group in self._groups(asked):
            queries = [asked[number] for number in group]
            reads = self.reranker is not None and bool(queries[0].words)
            depth = max(k, self.rerank_depth) if reads else k
            found = self._recalled(snapshot, queries, depth, allowed, clock)
            if reads:
                answers = self._reranked(snapshot, queries, found, k)
            elif isinstance(found, Candidates) and (name := self._undivided(queries)):
                answers = _plain(name, snapshot, found)
            else:
                answers = self._as_recalled(snapshot, queries, found)
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
        return snapshot.plans(depth if self.decay is None else depth + SLACK, snapshot.allowed(where))

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
        snapshot: Snapshot,
        queries: Sequence[Asked],
        recalled: Candidates | Sequence[Candidates],
        k: int,
    ) -> Iterator[list[Hit]]:
        """Hits in the order of recall and relevance together; the reranker reads all pairs in one call."""
        found = [recalled[number] for number in range(len(queries))]
        items = iter(snapshot.items_at(np.concatenate([each.ordinals for each in found])))
        read = [[next(items) for _ in each.ordinals] for each in found]
        relevance = iter(
            self._relevance(
                [(query.words, item.words) for query, row in zip(queries, read, strict=True) for item in row]
            )
        )
        for query, each, row in zip(queries, found, read, strict=True):
            relevant = np.fromiter(relevance, dtype=np.float64, count=len(row))
            total = (1 - self.relevance_weight) * each.recalled + self.relevance_weight * relevant
            final = total if each.freshness is None else decayed(total, each.freshness)
            order = np.lexsort((each.ordinals, -final))[:k]
            explained = self._explained(snapshot, query, each[order], relevant[order])
            yield [
                Hit(row[place], score, parts)
                for place, score, parts in zip(order.tolist(), final[order].tolist(), explained, strict=True)
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


def _checked(scores: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    scores = np.asarray(scores, dtype=np.float32)
    if scores.shape != (count,) or not bool(np.all((scores >= 0) & (scores <= 1))):
        raise QueryError(
            f"the reranker gave an array of shape {scores.shape} for {count} pairs: it must give one number in "
            "[0, 1] for each, so map logits through a sigmoid"
        )
    return scores
