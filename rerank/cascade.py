"""A cascade of rerankers, from the cheapest to the most expensive, that can keep to a time budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.checks import check_callable, check_number, check_text, check_whole, listed, texts_of
from rerank.cross_encoder.batching import Rows
from rerank.cross_encoder.tokens import Pair
from rerank.errors import InputError, require
from rerank.latency_budget import LatencyEstimator
from rerank.ranked import Ranked, check_limits

Blend: TypeAlias = Callable[[int, NDArray[np.float32]], NDArray[np.float64]]
"""Query number and relevance of its n candidates, 0 where it is unknown, to their scores; both of shape (n,)."""
RECALL = "recall"


class Scorer(Protocol):
    """What a stage needs of its reranker."""

    def score(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """Relevance in [0, 1], shape (n,), of n pairs of query and candidate text."""
        ...


class Stage(NamedTuple):
    """One reranker of a cascade.

    Args:
        reranker: what reads the candidates.
        depth: how many of the best candidates it reads, at least 1; None reads all.
        name: its key in `RerankResult.ranks`; "" becomes "stage 1" and so on.
    """

    reranker: Scorer
    depth: int | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class RerankResult:
    """The n candidates of one query after all stages; arrays of shape (n,), in the order they were given.

    Args:
        scores: what they are sorted by.
        relevance: by the last stage that read each, in [0, 1]; 0 where none did.
        order: their positions, best first.
        ranks: by stage, the rank of each candidate after it, starting at 1; 0 for those it did not read. The
            first, "recall", is the order that was given.
    """

    scores: NDArray[np.float64]
    relevance: NDArray[np.float32]
    order: Rows
    ranks: Mapping[str, Rows]

    @property
    def read(self) -> NDArray[np.bool_]:
        """Whether each candidate was read by some stage."""
        ranks = np.array([ranks for name, ranks in self.ranks.items() if name != RECALL])
        return np.asarray(ranks.any(axis=0))


class Cascade:
    """Rerankers from the cheapest to the most expensive: each reads the best candidates of the one before.

    A candidate keeps the relevance given by the last stage that read it, so the scores of all stages must be
    comparable: create the cheap one with `distil`, or `calibrate` them all. Thread-safe.

    Under a time budget, candidates are read best first, in calls whose duration is predicted from earlier calls, so
    that the last one ends in time. Every stage gets an equal share of the time left; what it does not use goes to
    the next.

    Args:
        stages: each a `Stage(reranker, depth)`, or a plain tuple of the two.
        clock: returns seconds; only differences matter.

    Raises:
        InputError: there are no stages, a depth is below 1, or a stage reads more than the one before it.
    """

    def __init__(
        self, *stages: Stage | tuple[Scorer, int | None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        check_callable("clock", clock)
        named = [_stage(number, stage) for number, stage in enumerate(stages, start=1)]
        self.stages = tuple(
            stage._replace(name=stage.name or f"stage {number}")
            for number, stage in enumerate(named, start=1)
        )
        self._clock = clock
        self._estimators = [LatencyEstimator() for _ in self.stages]
        _check_stages(self.stages)

    @property
    def depth(self) -> int | None:
        """How many candidates of a query are read at most; None for all."""
        return self.stages[0].depth

    def rerank(
        self,
        queries: Sequence[str],
        candidates: Sequence[Sequence[str]],
        blend: Blend | None = None,
        *,
        deadline: float | None = None,
    ) -> list[RerankResult]:
        """Sort the candidates of q queries; every stage reads those of all queries together.

        Args:
            queries: q queries.
            candidates: texts for each query, best first.
            blend: computes scores from relevance; None takes relevance itself.
            deadline: the time of the clock by which to finish; None sets no limit.

        Returns:
            q results. Candidates of equal score stay in the order given.

        Raises:
            InputError: queries and lists of candidates differ in number; and whatever the rerankers raise.
        """
        queries, candidates = texts_of("queries", queries), listed("candidates", candidates)
        if len(queries) != len(candidates):
            raise InputError(
                f"candidates must have one list for each of {len(queries)} queries, got {len(candidates)} lists"
            )
        candidates = [texts_of(f"candidates[{n}]", texts) for n, texts in enumerate(candidates)]
        if blend is not None:
            check_callable("blend", blend)
        if deadline is not None:
            deadline = check_number("deadline", deadline, finite=False)
        pools = [
            _Candidates(number, query, texts, blend)
            for number, (query, texts) in enumerate(zip(queries, candidates, strict=True))
        ]
        for number, (stage, estimator) in enumerate(zip(self.stages, self._estimators, strict=True)):
            until = None
            if deadline is not None:
                now = self._clock()
                until = now + (deadline - now) / (len(self.stages) - number)
            self._run(stage, estimator, pools, until)
        return [pool.result() for pool in pools]

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        *,
        top_k: int | None = None,
        min_score: float = 0.0,
        budget_ms: float | None = None,
    ) -> list[Ranked]:
        """Rank documents by how well they answer a query, best first.

        Args:
            query: the query text.
            documents: candidate texts, best first as far as is known.
            top_k: maximum number of documents to return; None returns all.
            min_score: minimum score of a document, in [0, 1].
            budget_ms: time budget in milliseconds, within which as many are read as fit; None reads all.

        Returns:
            By descending score, ties in the order of `documents`; those that no stage has read score 0.

        Raises:
            InputError: an argument is out of range; and whatever the rerankers raise.
        """
        check_limits(top_k, min_score)
        check_text("query", query)
        documents = texts_of("documents", documents)
        deadline = None
        if budget_ms is not None:
            deadline = self._clock() + check_number("budget_ms", budget_ms, above=0, finite=False) / 1000
        (result,) = self.rerank([query], [documents], deadline=deadline)
        kept = [row for row in result.order.tolist() if result.scores[row] >= min_score][:top_k]
        return [Ranked(row, float(result.scores[row]), documents[row]) for row in kept]

    def _run(
        self, stage: Stage, estimator: LatencyEstimator, pools: Sequence[_Candidates], until: float | None
    ) -> None:
        """Run one stage: the best candidate of every query first, then the second of every query, and so on."""
        chosen = [pool.order[: stage.depth] for pool in pools]
        turns = sorted((rank, number) for number, rows in enumerate(chosen) for rank in range(len(rows)))
        waiting = [(pools[number], int(chosen[number][rank])) for rank, number in turns]
        for portion in self._portions(waiting, estimator, until):
            pairs = [pool.pair(row) for pool, row in portion]
            started = self._clock()
            relevance = stage.reranker.score(pairs)
            estimator.record(pairs, self._clock() - started)
            for (pool, row), each in zip(portion, _checked(relevance, len(pairs)), strict=True):
                pool.set_relevance(row, each)
        for pool in pools:
            pool.sort_after(stage.name)

    def _portions(
        self, waiting: Sequence[tuple[_Candidates, int]], estimator: LatencyEstimator, until: float | None
    ) -> Iterator[Sequence[tuple[_Candidates, int]]]:
        """What to read in each call: everything at once, or as much as the time left allows."""
        start = 0
        while start < len(waiting):
            count = len(waiting) - start
            if until is not None:
                pairs = (pool.pair(row) for pool, row in waiting[start:])
                count = estimator.affordable(pairs, until - self._clock())
                if not count:
                    return
            yield waiting[start : start + count]
            start += count


class _Candidates:
    """The candidates of one query on their way through the stages."""

    def __init__(self, number: int, query: str, texts: Sequence[str], blend: Blend | None) -> None:
        self._number, self._query, self._texts = number, query, texts
        self._blend = blend
        self._relevance = np.zeros(len(texts), dtype=np.float32)
        self._read = np.zeros(len(texts), dtype=np.bool_)  # by the present stage
        self._scores = np.zeros(len(texts))
        self.order: Rows = np.arange(len(texts))
        self._ranks = {RECALL: self.order + 1}

    def pair(self, row: int) -> Pair:
        return self._query, self._texts[row]

    def set_relevance(self, row: int, relevance: float) -> None:
        self._relevance[row] = relevance
        self._read[row] = True

    def sort_after(self, stage: str) -> None:
        """Sort all candidates by what is known of them after a stage."""
        if self._blend is None:
            self._scores = self._relevance.astype(np.float64)
        else:
            self._scores = self._blend(self._number, self._relevance)
        self.order = np.argsort(-self._scores, kind="stable")
        ranks = np.empty(len(self.order), dtype=np.intp)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        self._ranks[stage] = np.where(self._read, ranks, 0)
        self._read[:] = False

    def result(self) -> RerankResult:
        return RerankResult(self._scores, self._relevance, self.order, self._ranks)


def _stage(number: int, given: Any) -> Stage:
    """A stage of a cascade.

    Raises:
        InputError: it is not a reranker and its depth.
    """
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise InputError(f"stage {number} must be Stage(reranker, depth), got {shown(given)}")
    stage = Stage(*given)
    if isinstance(stage.reranker, type) or not callable(getattr(stage.reranker, "score", None)):
        raise InputError(
            f"the reranker of stage {number} must have a method `score`, got {shown(stage.reranker)}"
        )
    if stage.depth is not None:
        check_whole(f"the depth of stage {number}", stage.depth, least=1)
    check_text(f"the name of stage {number}", stage.name)
    return stage


def _check_stages(stages: Sequence[Stage]) -> None:
    require(bool(stages), "a Cascade needs at least one stage: pass (reranker, depth) for each")
    names = [stage.name for stage in stages]
    if len({RECALL, *names}) <= len(names):
        raise InputError(f"stage names must differ from each other and from '{RECALL}', got {shown(names)}")
    limit = np.inf
    for stage in stages:
        depth = np.inf if stage.depth is None else stage.depth
        if not 1 <= depth <= limit:
            raise InputError(
                f"the depth of '{stage.name}' must be at least 1 and at most that of the stage before it, got "
                f"{stage.depth}"
            )
        limit = depth


def _checked(relevance: NDArray[np.float32], count: int) -> list[float]:
    try:
        relevance = np.asarray(relevance, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"a reranker must return an array of numbers, got {shown(relevance)}") from error
    if relevance.shape != (count,) or not bool(np.all((relevance >= 0) & (relevance <= 1))):
        raise InputError(
            f"a reranker must return one number in [0, 1] for each of {count} pairs, got an array of shape "
            f"{relevance.shape}: map logits through a sigmoid"
        )
    scores: list[float] = relevance.tolist()
    return scores
