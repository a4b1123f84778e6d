"""Several rerankers, from cheap to dear, each reading the best of what is left; and a time by which to be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.errors import InputError
from rerank.pace import Pace
from rerank.ranking import Ranked, check_limits
from rerank.tokens import Pair

Rows: TypeAlias = NDArray[np.intp]
Blend: TypeAlias = Callable[[int, NDArray[np.float32]], NDArray[np.float64]]
"""Query number and relevance of its n candidates, 0 where it is unknown, to their scores; both of shape (n,)."""
RECALL = "recall"


class Scorer(Protocol):
    """What one stage asks."""

    def score(self, pairs: Sequence[Pair], /) -> NDArray[np.float32]:
        """Relevance in [0, 1], shape (n,), of n pairs of query and candidate text."""
        ...


class Stage(NamedTuple):
    """One of a cascade's rerankers.

    Args:
        reranker: what reads.
        depth: how many of the best candidates it reads, at least 1; None reads all.
        name: in `Reranked.ranks`; "" is "stage 1" and so on.
    """

    reranker: Scorer
    depth: int | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Reranked:
    """The n candidates of one query after all stages; arrays of shape (n,), in the order they were given.

    Args:
        scores: what they are ordered by.
        relevance: from the last stage that read each, in [0, 1]; 0 where none did.
        order: their positions, best first.
        ranks: by stage, the place of each after it, from 1 on; 0 for those it did not read. The first, "recall",
            is the order that was given.
    """

    scores: NDArray[np.float64]
    relevance: NDArray[np.float32]
    order: Rows
    ranks: Mapping[str, Rows]

    @property
    def read(self) -> NDArray[np.bool_]:
        """Which were read by some stage."""
        places = np.array([ranks for name, ranks in self.ranks.items() if name != RECALL])
        return np.asarray(places.any(axis=0))


class Cascade:
    """Rerankers from cheap to dear: the first reads many candidates, the last the few best of them.

    A candidate keeps the relevance of the last stage that read it, so the stages' scores must mean the same: make
    the cheap one by `distil`, or `calibrate` them all. Threads may share it.

    With a budget of time it reads the best candidates first, in portions whose time it foresees from those
    before, and stops in time. Every stage gets an equal share of what is left, and passes on what it does not use.

    Args:
        stages: each `Stage(reranker, depth)`, or a plain tuple of the two.
        clock: seconds since any moment.

    Raises:
        InputError: there are no stages, a depth is below 1, or a later stage reads more than the one before.
    """

    def __init__(
        self, *stages: Stage | tuple[Scorer, int | None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        named = [Stage(*stage) for stage in stages]
        self.stages = tuple(
            stage._replace(name=stage.name or f"stage {number}")
            for number, stage in enumerate(named, start=1)
        )
        self._clock = clock
        self._paces = [Pace() for _ in self.stages]
        if not self.stages:
            raise InputError("A Cascade needs a stage: pass (reranker, depth) for each.")
        names = [stage.name for stage in self.stages]
        if len({RECALL, *names}) <= len(names):
            raise InputError(f"The stages {names} need names of their own, other than '{RECALL}'.")
        narrowest = np.inf
        for stage in self.stages:
            depth = np.inf if stage.depth is None else stage.depth
            if not 1 <= depth <= narrowest:
                raise InputError(
                    f"'{stage.name}' reads {stage.depth}: at least 1, and no more than the stage before it."
                )
            narrowest = depth

    @property
    def depth(self) -> int | None:
        """How many candidates of a query it reads at most; None for all."""
        return self.stages[0].depth

    def rerank(
        self,
        queries: Sequence[str],
        candidates: Sequence[Sequence[str]],
        blend: Blend | None = None,
        *,
        deadline: float | None = None,
    ) -> list[Reranked]:
        """Order the candidates of q queries, all queries together in every stage.

        Args:
            queries: q queries.
            candidates: texts for each query, best first.
            blend: what makes scores of relevance; None takes relevance itself.
            deadline: when to be done, of the clock; None takes the time it takes.

        Returns:
            q results. Equal scores stay in the order that was given.

        Raises:
            InputError: there are not as many lists of candidates as queries; and as the rerankers.
        """
        if len(queries) != len(candidates):
            raise InputError(f"There are {len(queries)} queries but {len(candidates)} lists of candidates.")
        pools = [
            _Pool(number, query, texts, blend)
            for number, (query, texts) in enumerate(zip(queries, candidates, strict=True))
        ]
        for number, (stage, pace) in enumerate(zip(self.stages, self._paces, strict=True)):
            until = None
            if deadline is not None:
                now = self._clock()
                until = now + (deadline - now) / (len(self.stages) - number)
            self._run(stage, pace, pools, until)
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
        """The documents that answer a query, best first.

        Args:
            query: the query text.
            documents: candidate texts, best first as far as is known.
            top_k: most documents to return; None is all.
            min_score: least score of a document, in [0, 1].
            budget_ms: milliseconds in which to read as many as fit; None reads all.

        Returns:
            By falling score, ties in the order of `documents`; those that no stage has read have a score of 0.

        Raises:
            InputError: an argument is out of its range; and as the rerankers.
        """
        check_limits(top_k, min_score)
        if budget_ms is not None and not budget_ms > 0:
            raise InputError(f"budget_ms is a number of milliseconds above 0, not {budget_ms}.")
        deadline = None if budget_ms is None else self._clock() + budget_ms / 1000
        (found,) = self.rerank([query], [documents], deadline=deadline)
        kept = [row for row in found.order.tolist() if found.scores[row] >= min_score][:top_k]
        return [Ranked(row, float(found.scores[row]), documents[row]) for row in kept]

    def _run(self, stage: Stage, pace: Pace, pools: Sequence[_Pool], until: float | None) -> None:
        """One stage: best candidates first, of all queries in turns."""
        chosen = [pool.order[: stage.depth] for pool in pools]
        places = sorted((place, number) for number, rows in enumerate(chosen) for place in range(len(rows)))
        waiting = [(pools[number], int(chosen[number][place])) for place, number in places]
        for portion in self._portions(waiting, pace, until):
            pairs = [pool.pair(row) for pool, row in portion]
            started = self._clock()
            relevance = stage.reranker.score(pairs)
            pace.measured(pairs, self._clock() - started)
            for (pool, row), each in zip(portion, _checked(relevance, len(pairs)), strict=True):
                pool.reached(row, each)
        for pool in pools:
            pool.ordered(stage.name)

    def _portions(
        self, waiting: Sequence[tuple[_Pool, int]], pace: Pace, until: float | None
    ) -> Iterator[Sequence[tuple[_Pool, int]]]:
        """What to read at once: everything, or what a share of the time left suffices for."""
        start = 0
        while start < len(waiting):
            count = len(waiting) - start
            if until is not None:
                pairs = (pool.pair(row) for pool, row in waiting[start:])
                count = pace.affordable(pairs, until - self._clock())
                if not count:
                    return
            yield waiting[start : start + count]
            start += count


class _Pool:
    """The candidates of one query on their way through the stages."""

    def __init__(self, number: int, query: str, texts: Sequence[str], blend: Blend | None) -> None:
        self._number, self._query, self._texts = number, query, texts
        self._blend = blend
        self._relevance = np.zeros(len(texts), dtype=np.float32)
        self._read = np.zeros(len(texts), dtype=np.bool_)
        self._scores = np.zeros(len(texts))
        self.order: Rows = np.arange(len(texts))
        self._ranks = {RECALL: self.order + 1}

    def pair(self, row: int) -> Pair:
        return self._query, self._texts[row]

    def reached(self, row: int, relevance: float) -> None:
        self._relevance[row] = relevance
        self._read[row] = True

    def ordered(self, stage: str) -> None:
        """Order all candidates by what is known of them after a stage."""
        if self._blend is None:
            self._scores = self._relevance.astype(np.float64)
        else:
            self._scores = self._blend(self._number, self._relevance)
        self.order = np.argsort(-self._scores, kind="stable")
        ranks = np.empty(len(self.order), dtype=np.intp)
        ranks[self.order] = np.arange(1, len(self.order) + 1)
        self._ranks[stage] = np.where(self._read, ranks, 0)
        self._read[:] = False

    def result(self) -> Reranked:
        return Reranked(self._scores, self._relevance, self.order, self._ranks)


def _checked(relevance: NDArray[np.float32], count: int) -> list[float]:
    relevance = np.asarray(relevance, dtype=np.float32)
    if relevance.shape != (count,) or not bool(np.all((relevance >= 0) & (relevance <= 1))):
        raise InputError(
            f"The reranker gave an array of shape {relevance.shape} for {count} pairs: it must give one number in "
            "[0, 1] for each, so map logits through a sigmoid."
        )
    scores: list[float] = relevance.tolist()
    return scores
