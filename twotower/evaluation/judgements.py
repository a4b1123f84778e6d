"""How well recall, a reranker and both together order the judged items of each query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from reprlib import repr as shown

import numpy as np

from multimodal.checks import check_whole
from twotower.errors import JudgementError
from twotower.evaluation.caching import CachingReranker
from twotower.evaluation.checks import check_qrels, check_queries
from twotower.evaluation.metrics import Qrels, Run
from twotower.evaluation.significance import (
    Comparison,
    Interval,
    compare,
    corrected,
    mean_interval,
    query_values,
)
from twotower.retriever import BaseRetriever
from twotower.types import Query, Reranker

METRIC = "ndcg@10"


@dataclass(frozen=True, slots=True)
class JudgedOrdering:
    """One way to order the judged items of the queries.

    Args:
        name: "random", "recall", "reranker", "blended" for both of them, or "base" for what the reranker was fitted
            from.
        ndcg: mean nDCG@10 with its interval over queries.
    """

    name: str
    ndcg: Interval


@dataclass(frozen=True, slots=True)
class JudgedReport:
    """The result of `measure_judged`.

    Args:
        orderings: random, recall, reranker, blended and, if it was measured, base, in this order.
        change: of the reranker alone against recall.
        change_from_base: of the reranker alone against its base; None if that was not measured. `p_holm` of both is
            corrected for their number.
        queries: number of queries with a relevant item.
        pairs: number of their judged pairs.
    """

    orderings: tuple[JudgedOrdering, ...]
    change: Comparison
    change_from_base: Comparison | None
    queries: int
    pairs: int

    def lines(self) -> Iterator[str]:
        """The report as text."""
        yield f"nDCG@10 of the judged items of {self.queries:,} queries ({self.pairs:,} pairs):"
        for each in self.orderings:
            yield f"  {each.name:<9} {each.ndcg.mean:.3f}  [{each.ndcg.low:.3f}, {each.ndcg.high:.3f}]"
        yield _difference("recall", self.change)
        if self.change_from_base is not None:
            yield _difference("base", self.change_from_base)
            if self.change_from_base.low <= 0:
                yield "  the fitted model is no better than its base: use that, or fit longer or on more judgements"


def measure_judged(
    retriever: BaseRetriever,
    reranker: Reranker,
    queries: Mapping[str, str | Query],
    qrels: Qrels,
    *,
    base: Reranker | None = None,
    seed: int = 0,
) -> JudgedReport:
    """Order only the judged items of each query: at random, by recall, by the reranker, by both, and by its base.

    These rankings hold nothing unjudged, so a model is not penalised for finding items that nobody has judged.

    Args:
        retriever: with the items indexed; its decay is not used.
        reranker: the one to measure; "blended" uses the retriever's own `relevance_weight`.
        queries: by id.
        qrels: grades by query and item; items that are not indexed are ignored.
        base: the reranker that this one was fitted from, to compare it with; None for none.
        seed: of the random ordering, the bootstrap and the permutation test.

    Raises:
        JudgementError: no query has a relevant item that is indexed.
    """
    check_qrels(qrels)
    check_queries(queries, qrels)
    check_whole("seed", seed, least=0)
    for name, part in {"reranker": reranker, "base": base}.items():
        if not (callable(getattr(part, "score", None)) or (name == "base" and part is None)):
            raise ValueError(f"{name} must have a method `score`, got {shown(part)}")
    indexed = {
        query: {item: grade for item, grade in grades.items() if item in retriever}
        for query, grades in qrels.items()
    }
    judged = {query: grades for query, grades in indexed.items() if max(grades.values(), default=0) > 0}
    if not judged:
        raise JudgementError("no query has a relevant item that is indexed: there is nothing to measure")
    rng = np.random.default_rng(seed)
    cached = CachingReranker(reranker)
    recall = retriever.using(reranker=None, decay=None)
    runs: dict[str, Run] = {
        "random": {
            query: dict(zip(grades, rng.random(len(grades)).tolist(), strict=True))
            for query, grades in judged.items()
        },
        "recall": judged_run(recall, queries, judged),
        "reranker": judged_run(recall.using(reranker=cached, relevance_weight=1.0), queries, judged),
        "blended": judged_run(recall.using(reranker=cached), queries, judged),
    }
    if base is not None:
        runs["base"] = judged_run(recall.using(reranker=base, relevance_weight=1.0), queries, judged)
    orderings = tuple(
        JudgedOrdering(name, mean_interval(query_values(run, judged, METRIC), seed=seed))
        for name, run in runs.items()
    )
    baselines = {name: runs[name] for name in ("recall", "base") if name in runs}
    changes = corrected(
        {name: compare(runs["reranker"], run, judged, METRIC, seed=seed) for name, run in baselines.items()}
    )
    pairs = sum(map(len, judged.values()))
    return JudgedReport(orderings, changes["recall"], changes.get("base"), len(judged), pairs)


def _difference(baseline: str, change: Comparison) -> str:
    return (
        f"  reranker - {baseline}: {change.difference:+.3f} [{change.low:+.3f}, {change.high:+.3f}], "
        f"p = {change.p_holm:.3g}"
    )


def judged_run(
    retriever: BaseRetriever, queries: Mapping[str, str | Query], judged: Qrels
) -> dict[str, dict[str, float]]:
    """Score each query's judged items, all of which are indexed, with a retriever."""
    check_qrels(judged)
    check_queries(queries, judged)
    return {
        query: {
            hit.id: hit.score
            for hit in retriever.search(queries[query], len(grades), where={"id": {"$in": list(grades)}})
        }
        for query, grades in judged.items()
    }
