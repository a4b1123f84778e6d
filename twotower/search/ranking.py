"""From encoded queries to hits: recall, reranking, and the blended score."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from reprlib import repr as shown
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twotower.errors import QueryError, QueryWarning
from twotower.recall.candidates import Candidates
from twotower.recall.freshness import decayed
from twotower.recall.fusion import HybridFusion, ReciprocalRank
from twotower.recall.plan import Plan
from twotower.recall.queries import EncodedQueries
from twotower.recall.snapshot import Snapshot
from twotower.recall.stage import Scope, recall_candidates, recall_plans
from twotower.search.arguments import is_number, is_whole
from twotower.search.explanation import Explanation
from twotower.search.hits import Hits
from twotower.search.request import SearchRequest
from twotower.types import Item, ListwiseReranker, ListwiseResult, TimeDecay, Where

MAX_QUERIES = 256  # that are answered at a time, so that memory does not grow with a batch
DEFAULT_DEPTH = 100  # candidates for a reranker without a limit of its own


@dataclass(frozen=True, slots=True)
class Ranking:
    """How candidates are found and ordered.

    score = ((1 - relevance_weight) * similarity + relevance_weight * relevance) * freshness

    with recall's similarity in [-1, 1] (under `hybrid`, the fused score), the reranker's relevance in [0, 1] and the
    decay's freshness in (0, 1]; without a reranker, or for a query without words, similarity * freshness.
    Freshness does not change scores of 0 or below, which it would raise. The reranker reads the first `depth`
    candidates of recall, however many hits are asked for. A candidate that was not read, for lack of time or because
    it ranks too low, has relevance 0, so that it follows those that were read and keeps its place in recall.

    Args:
        reranker: None to rank by similarity.
        decay: None to ignore time.
        rerank_depth: how many candidates the reranker may read, at least 1; None is as many as it reads at most, or
            `DEFAULT_DEPTH` if it sets no limit.
        relevance_weight: in [0, 1].
        texts_of: the texts of items that the reranker reads.
        blocks: columns of the vectors by name, to explain a similarity.
        modality: the one block of the vectors to recall by, without `hybrid`; None for all of them.
        hybrid: how a query's words find items besides its vector; None recalls by vectors alone.

    Raises:
        QueryError: a number is out of its range, or there is no such block.
    """

    reranker: ListwiseReranker | None
    decay: TimeDecay | None
    rerank_depth: int | None
    relevance_weight: float
    texts_of: Callable[[Sequence[Item]], list[str]]
    blocks: Mapping[str, slice] = field(default_factory=dict)
    modality: str | None = None
    hybrid: HybridFusion | None = None
    depth: int = field(init=False)  # how many candidates of a query with words are recalled for the reranker
    explanation: Explanation = field(init=False)

    def __post_init__(self) -> None:
        if self.modality is not None and self.modality not in list(self.blocks):
            known = ", ".join(map(repr, self.blocks)) or "none"
            raise QueryError(
                f"modality must be one of the parts of the vectors ({known}), got {shown(self.modality)}"
            )
        if self.hybrid is not None and not (hasattr(self.hybrid, "fuse") and hasattr(self.hybrid, "bound")):
            raise QueryError(
                f"hybrid must be a fusion such as Convex(0.6), or None, got {shown(self.hybrid)}"
            )
        if self.decay is not None and not hasattr(self.decay, "factor"):
            raise QueryError(
                f"decay must be a decay such as Decay.half_life(30), or None, got {shown(self.decay)}"
            )
        if not (is_number(self.relevance_weight) and 0 <= self.relevance_weight <= 1):
            raise QueryError(f"relevance_weight must be in [0, 1], got {shown(self.relevance_weight)}")
        if self.rerank_depth is not None and not is_whole(self.rerank_depth, at_least=1):
            raise QueryError(
                f"rerank_depth must be a whole number of at least 1, got {shown(self.rerank_depth)}"
            )
        read_at_most = None if self.reranker is None else self.reranker.depth
        object.__setattr__(self, "depth", int(self.rerank_depth or 0) or read_at_most or DEFAULT_DEPTH)
        object.__setattr__(self, "explanation", Explanation(self.blocks, self.relevance_weight))

    def rank(self, snapshot: Snapshot, queries: EncodedQueries, request: SearchRequest) -> list[Hits]:
        """Answer q queries from one state of the index.

        Returns:
            q lists of at most k hits, best first.
        """
        scope = Scope(request.where, request.exclude, self.decay, request.now)
        if self.modality is not None:
            queries = queries.within(self.blocks[self.modality])
        words_matter = self.reranker is not None or self._fusion is not None
        at_most = MAX_QUERIES if request.deadline is None else len(queries.texts)
        if not words_matter and queries.known is None and len(queries.texts) <= at_most:
            return list(self._as_recalled(snapshot, queries, request, scope, None))
        answers: list[Hits] = [NO_HITS] * len(queries.texts)
        for rows, worded in _groups(queries, at_most, words_matter=words_matter):
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
        if request.min_score is not None and isinstance(fusion, ReciprocalRank):
            warnings.warn(
                "min_score means little with ReciprocalRank, whose scores reflect rank only (the best hit of any "
                "query scores at least 0.5): pass hybrid=Convex()",
                QueryWarning,
                stacklevel=2,
            )
        recalled = recall_candidates(snapshot, queries, request.k, scope, fusion, skip=request.offset)
        for row, found in enumerate(recalled):
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
        recalled = recall_candidates(snapshot, queries, max(request.end, self.depth), scope, self._fusion)
        heads = [found.first(self.depth) for found in recalled]

        def scores(row: int, relevance: NDArray[np.float32]) -> NDArray[np.float64]:
            return blend(heads[row], relevance, self.relevance_weight)

        texts = [self.texts_of(found.items) for found in heads]
        results = reranker.rerank(queries.texts, texts, scores, deadline=request.deadline)
        for row, (found, result) in enumerate(zip(recalled, results, strict=True)):
            ranked = _Reranked.of(found, result, self.relevance_weight)
            page = ranked.order[request.offset : request.end]
            if request.min_score is not None:
                page = page[ranked.scores[page] >= request.min_score]
            kept, user = found.take(page), None if queries.users is None else queries.users[row]
            yield Hits(
                kept.items,
                ranked.scores[page],
                self.explanation.of(kept, snapshot, queries.vectors[row], user, ranked.relevance[page]),
                {stage: ranks[page] for stage, ranks in ranked.ranks.items()},
            )


class _Reranked(NamedTuple):
    """All candidates of one query, those that the reranker was given before the others; see `ListwiseResult`."""

    scores: NDArray[np.float64]
    relevance: NDArray[np.float32]
    order: NDArray[np.intp]
    ranks: Mapping[str, NDArray[np.intp]]

    @classmethod
    def of(cls, found: Candidates, result: ListwiseResult, relevance_weight: float) -> _Reranked:
        """The result for the first of some candidates, continued by the others in the order of recall."""
        given, count = len(result.order), len(found.ordinals)
        if given == count:
            return cls(result.scores, result.relevance, result.order, result.ranks)
        others = np.arange(given, count)
        unread = np.zeros(len(others), dtype=np.float32)
        scores = blend(found.take(others), unread, relevance_weight)
        ranks = {
            stage: np.concatenate([ranks, others + 1 if stage == RECALL else np.zeros_like(others)])
            for stage, ranks in result.ranks.items()
        }
        return cls(
            np.concatenate([result.scores, scores]),
            np.concatenate([result.relevance, unread]),
            np.concatenate([result.order, others]),
            ranks,
        )


RECALL = "recall"  # the stage whose ranks are those of all candidates
NO_HITS = Hits([], np.zeros(0), {})


def _groups(
    queries: EncodedQueries, at_most: int, *, words_matter: bool
) -> Iterator[tuple[Sequence[int], bool]]:
    """Rows that are answered together: those with words, then those without; none for queries without a vector."""
    rows: Sequence[int] = range(len(queries.texts))
    if queries.known is not None:
        rows = np.flatnonzero(queries.known).tolist()
    worded = [row for row in rows if queries.texts[row]] if words_matter else []
    wordless = [row for row in rows if not queries.texts[row]] if worded else rows
    for group, has_words in ((worded, True), (wordless, False)):
        for start in range(0, len(group), at_most):
            yield group[start : start + at_most], has_words


def blend(candidates: Candidates, relevance: NDArray[np.float32], weight: float) -> NDArray[np.float64]:
    """Blend the scores of candidates with the reranker's relevance in [0, 1]: shape (m,), see `Ranking`."""
    total = (1 - weight) * candidates.scores + weight * relevance.astype(np.float64)
    return total if candidates.freshness is None else decayed(total, candidates.freshness)
