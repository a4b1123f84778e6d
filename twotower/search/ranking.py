"""From encoded queries to hits: recall, reranking, and the blended score."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twotower.recall.candidates import Candidates
from twotower.recall.freshness import decayed
from twotower.recall.fusion import HybridFusion
from twotower.recall.plan import Plan
from twotower.recall.queries import EncodedQueries
from twotower.recall.snapshot import Snapshot
from twotower.recall.stage import Scope, recall_candidates, recall_plans
from twotower.search.explanation import Explanation
from twotower.search.hits import Hits
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
    depth: int = field(init=False)  # how many candidates of a query with words are recalled for the reranker
    explanation: Explanation = field(init=False)

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
        read_at_most = None if self.reranker is None else self.reranker.depth
        object.__setattr__(self, "depth", self.rerank_depth or read_at_most or DEFAULT_DEPTH)
        object.__setattr__(self, "explanation", Explanation(self.blocks, self.relevance_weight))

    def rank(self, snapshot: Snapshot, queries: EncodedQueries, request: SearchRequest) -> list[Hits]:
        """Answer q queries from one state of the index.

        Returns:
            q lists of at most k hits, best first.
        """
        scope = Scope(request.where, request.exclude, self.decay, request.now)
        if self.modality is not None:
            queries = queries.within(self.blocks[self.modality])
        if (
            not (words_matter := self.reranker is not None or self._fusion is not None)
            and queries.known is None
        ):
            return list(self._as_recalled(snapshot, queries, request, scope, None))
        answers: list[Hits] = [NO_HITS] * len(queries.texts)
        for rows, worded in _groups(queries, words_matter=words_matter):
            group = queries if len(rows) == len(answers) else queries.take(rows)
            if worded and self.reranker is not None:
                hits = self._reranked(self.reranker, snapshot, group, request, scope)
            else:
                hits = self._as_recalled(snapshot, group, request, scope, self._fusion if worded else None)
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
        if words and self.reranker is not None:
            k = max(k, self.depth)
        return recall_plans(snapshot, k, where, self.decay, self._fusion if words else None)

    @property
    def _fusion(self) -> HybridFusion | None:
        """How words and vectors are fused; None if a single block of the vectors is asked for."""
        return self.hybrid if self.modality is None else None

    def _as_recalled(
        self,
        snapshot: Snapshot,
        queries: EncodedQueries,
        request: SearchRequest,
        scope: Scope,
        fusion: HybridFusion | None,
    ) -> Iterator[Hits]:
        """Hits in the order of recall."""
        for row, found in enumerate(recall_candidates(snapshot, queries, request.k, scope, fusion)):
            scores = found.decayed_scores
            if request.min_score is not None:
                found = found.take(np.flatnonzero(scores >= request.min_score))
                scores = found.decayed_scores
            user = None if queries.users is None else queries.users[row]
            yield Hits(found.items, scores, self.explanation.of(found, snapshot, queries.vectors[row], user))

    def _reranked(
        self,
        reranker: ListwiseReranker,
        snapshot: Snapshot,
        queries: EncodedQueries,
        request: SearchRequest,
        scope: Scope,
    ) -> Iterator[Hits]:
        """Hits in order of the blended score; the reranker gets all queries in one call."""
        recalled = recall_candidates(snapshot, queries, max(request.k, self.depth), scope, self._fusion)

        def scores(row: int, relevance: NDArray[np.float32]) -> NDArray[np.float64]:
            return blend(recalled[row], relevance, self.relevance_weight)

        texts = [list(map(self.text_of, found.items)) for found in recalled]
        results = reranker.rerank(queries.texts, texts, scores, deadline=request.deadline)
        for row, (found, result) in enumerate(zip(recalled, results, strict=True)):
            order = result.order[: request.k]
            if request.min_score is not None:
                order = order[result.scores[order] >= request.min_score]
            kept, user = found.take(order), None if queries.users is None else queries.users[row]
            yield Hits(
                kept.items,
                result.scores[order],
                self.explanation.of(kept, snapshot, queries.vectors[row], user, result.relevance[order]),
                {stage: ranks[order] for stage, ranks in result.ranks.items()},
            )


NO_HITS = Hits([], np.zeros(0), {})


def _groups(queries: EncodedQueries, *, words_matter: bool) -> Iterator[tuple[Sequence[int], bool]]:
    """Rows that are answered alike: those with words, then those without; none that nothing is known of."""
    rows: Sequence[int] = range(len(queries.texts))
    if queries.known is not None:
        rows = np.flatnonzero(queries.known).tolist()
    worded = [row for row in rows if queries.texts[row]] if words_matter else []
    if worded:
        yield worded, True
    if len(worded) < len(rows):
        yield [row for row in rows if not queries.texts[row]] if worded else rows, False


def blend(candidates: Candidates, relevance: NDArray[np.float32], weight: float) -> NDArray[np.float64]:
    """Blend the scores of candidates with the reranker's relevance in [0, 1]: shape (m,), see `Ranking`."""
    total = (1 - weight) * candidates.scores + weight * relevance.astype(np.float64)
    return total if candidates.freshness is None else decayed(total, candidates.freshness)
