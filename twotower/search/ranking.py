"""From encoded queries to hits: recall, reranking, and the blended score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twotower.recall.plan import Plan
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.search.candidates import OVERFETCH, Candidates, nearest_candidates
from twotower.search.explanation import Explanation
from twotower.search.freshness import Freshness, decayed
from twotower.search.hits import Hits
from twotower.search.hybrid import HybridFusion, hybrid_candidates
from twotower.search.query_encoding import EncodedQueries
from twotower.search.request import SearchRequest, is_positive_integer
from twotower.types import Item, ListwiseReranker, TimeDecay, Where

DEFAULT_DEPTH = 100  # candidates for a reranker without a limit of its own


@dataclass(frozen=True, slots=True)
class Ranking:
    """How candidates are found and ordered.

    score = ((1 - relevance_weight) * similarity + relevance_weight * relevance) * freshness

    with recall's similarity in [-1, 1] (under `hybrid`, the fused score), the reranker's relevance in [0, 1] and the
    decay's freshness in (0, 1]; without a reranker, or for a query without words, similarity * freshness.
    Freshness does not change scores of 0 or below, which it would raise. A candidate that was not read, for lack of
    time or because it ranks too low, has relevance 0.

    Args:
        reranker: None to rank by similarity.
        decay: None to ignore time.
        rerank_depth: how many candidates the reranker may read, at least 1; None is as many as it reads at most, or
            `DEFAULT_DEPTH` if it sets no limit.
        relevance_weight: in [0, 1].
        text_of: the text of an item that the reranker reads.
        blocks: columns of the vectors by name, to explain a similarity.
        modality: the one block of the vectors to recall by, without `hybrid`; None for all of them.
        hybrid: how a query's words find items besides its vector; None recalls by vectors alone.

    Raises:
        ValueError: a number is out of its range, or there is no such block.
    """

    reranker: ListwiseReranker | None
    decay: TimeDecay | None
    rerank_depth: int | None
    relevance_weight: float
    text_of: Callable[[Item], str]
    blocks: Mapping[str, slice] = field(default_factory=dict)
    modality: str | None = None
    hybrid: HybridFusion | None = None

    def __post_init__(self) -> None:
        if self.modality is not None and self.modality not in self.blocks:
            known = ", ".join(map(repr, self.blocks)) or "none"
            raise ValueError(
                f"modality must be one of the parts of the vectors ({known}), got {self.modality!r}"
            )
        if self.hybrid is not None and not hasattr(self.hybrid, "fuse"):
            raise ValueError(f"hybrid must be a fusion such as Convex(0.6), or None, got {self.hybrid!r}")
        if self.decay is not None and not hasattr(self.decay, "factor"):
            raise ValueError(
                f"decay must be a decay such as Decay.half_life(30), or None, got {self.decay!r}"
            )
        if not 0 <= self.relevance_weight <= 1:
            raise ValueError(f"relevance_weight must be in [0, 1], got {self.relevance_weight}")
        if self.rerank_depth is not None and not is_positive_integer(self.rerank_depth):
            raise ValueError(f"rerank_depth must be a whole number of at least 1, got {self.rerank_depth!r}")

    def rank(self, snapshot: Snapshot, queries: EncodedQueries, request: SearchRequest) -> list[Hits]:
        """Answer q queries from one state of the index.

        Returns:
            q lists of at most k hits, best first.
        """
        allowed = snapshot.allowed(request.where, request.exclude)
        freshness = Freshness.at(request.now, self.decay)
        if self.modality is not None:
            queries = queries.within(self.blocks[self.modality])
        answers: list[Hits] = [NO_HITS] * len(queries.texts)
        for rows, worded in self._groups(queries):
            group = queries if len(rows) == len(answers) else queries.take(rows)
            if worded and self.reranker is not None:
                depth = max(request.k, self._depth)
                found = self._recall(snapshot, group, depth, allowed, freshness, worded=True)
                hits = self._reranked(self.reranker, snapshot, group, found, request)
            else:
                found = self._recall(snapshot, group, request.k, allowed, freshness, worded=worded)
                hits = self._as_recalled(snapshot, group, found, request.min_score)
            for row, answer in zip(rows, hits, strict=True):
                answers[row] = answer
        return answers

    def plans(self, snapshot: Snapshot, k: int, *, where: Where | None, words: bool) -> list[Plan]:
        """How recall searches each segment of the index.

        Args:
            snapshot: the state.
            k: hits per query.
            where: a filter, or None.
            words: whether the query has words, for which a reranker reads more candidates.
        """
        depth = max(k, self._depth) if words and self.reranker is not None else k
        depth = depth if self.decay is None else depth + OVERFETCH
        if words and self.hybrid is not None and self.modality is None:
            depth = max(depth, self.hybrid.depth)
        return snapshot.plans(depth, snapshot.allowed(where))

    @property
    def _depth(self) -> int:
        """How many candidates of a query with words are recalled for the reranker."""
        if self.rerank_depth is not None:
            return self.rerank_depth
        return (self.reranker and self.reranker.depth) or DEFAULT_DEPTH

    def _groups(self, queries: EncodedQueries) -> Iterator[tuple[Sequence[int], bool]]:
        """Rows that are answered alike: those with words, then those without; none that nothing is known of."""
        rows: Sequence[int] = range(len(queries.texts))
        if queries.known is not None:
            rows = np.flatnonzero(queries.known).tolist()
        words_matter = self.hybrid is not None or self.reranker is not None
        worded = [row for row in rows if queries.texts[row]] if words_matter else []
        if worded:
            yield worded, True
        if len(worded) < len(rows):
            yield [row for row in rows if not queries.texts[row]] if worded else rows, False

    def _recall(
        self,
        snapshot: Snapshot,
        queries: EncodedQueries,
        depth: int,
        allowed: Sequence[Selection],
        freshness: Freshness | None,
        *,
        worded: bool,
    ) -> list[Candidates]:
        if worded and self.hybrid is not None and self.modality is None:
            return hybrid_candidates(
                snapshot, queries, depth, fusion=self.hybrid, allowed=allowed, freshness=freshness
            )
        return nearest_candidates(snapshot, queries.vectors, depth, allowed=allowed, freshness=freshness)

    def _as_recalled(
        self,
        snapshot: Snapshot,
        queries: EncodedQueries,
        found: Sequence[Candidates],
        min_score: float | None,
    ) -> Iterator[Hits]:
        explanation = Explanation(self.blocks)
        if min_score is not None:
            found = [each.take(np.flatnonzero(each.decayed_scores >= min_score)) for each in found]
        for row, (each, items) in enumerate(zip(found, _items(snapshot, found), strict=True)):
            user = None if queries.users is None else queries.users[row]
            parts = explanation.of(each, snapshot, queries.vectors[row], user)
            yield Hits(items, each.decayed_scores, parts)

    def _reranked(
        self,
        reranker: ListwiseReranker,
        snapshot: Snapshot,
        queries: EncodedQueries,
        found: Sequence[Candidates],
        request: SearchRequest,
    ) -> Iterator[Hits]:
        """Hits in order of the blended score; the reranker gets all queries in one call."""
        explanation = Explanation(self.blocks, self.relevance_weight)
        read = _items(snapshot, found)

        def scores(row: int, relevance: NDArray[np.float32]) -> NDArray[np.float64]:
            return blend(found[row], relevance, self.relevance_weight)

        texts = [list(map(self.text_of, items)) for items in read]
        results = reranker.rerank(queries.texts, texts, scores, deadline=request.deadline)
        for row, (each, items, result) in enumerate(zip(found, read, results, strict=True)):
            order = result.order[: request.k]
            if request.min_score is not None:
                order = order[result.scores[order] >= request.min_score]
            user = None if queries.users is None else queries.users[row]
            vector, relevance = queries.vectors[row], result.relevance[order]
            yield Hits(
                [items[place] for place in order.tolist()],
                result.scores[order],
                explanation.of(each.take(order), snapshot, vector, user, relevance),
                {stage: ranks[order] for stage, ranks in result.ranks.items()},
            )


NO_HITS = Hits([], np.zeros(0), {})


def blend(candidates: Candidates, relevance: NDArray[np.float32], weight: float) -> NDArray[np.float64]:
    """Blend the scores of candidates with the reranker's relevance in [0, 1]: shape (m,), see `Ranking`."""
    total = (1 - weight) * candidates.scores + weight * relevance.astype(np.float64)
    return total if candidates.freshness is None else decayed(total, candidates.freshness)


def _items(snapshot: Snapshot, found: Sequence[Candidates]) -> list[Sequence[Item]]:
    """The items of every query's candidates, read in one call."""
    if len(found) == 1:
        return [snapshot.items_at(found[0].ordinals)]
    items = snapshot.items_at(np.concatenate([each.ordinals for each in found]))
    ends = np.cumsum([len(each.ordinals) for each in found]).tolist()
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]
