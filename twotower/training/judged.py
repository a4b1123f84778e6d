"""How well a reranker orders what was judged, beside chance and recall."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from twotower.errors import JudgementError
from twotower.evaluation.metrics import Qrels
from twotower.evaluation.significance import Comparison, Interval, compare, mean_interval, query_values
from twotower.evaluation.stages import Remembering
from twotower.retriever import BaseRetriever
from twotower.types import Reranker

METRIC = "ndcg@10"
RECALL, RERANKER = "recall", "reranker"


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to order the judged items of queries.

    Args:
        name: "random", "recall", "reranker" alone, or both of them "blended".
        ndcg: mean nDCG@10 with its interval over queries.
    """

    name: str
    ndcg: Interval


@dataclass(frozen=True, slots=True)
class JudgedReport:
    """What `measure_judged` found.

    Args:
        measured: from chance to the whole.
        gain: of the reranker alone over recall.
        queries: how many had something relevant.
        pairs: judged pairs of them.
    """

    measured: tuple[Measured, ...]
    gain: Comparison
    queries: int
    pairs: int

    def lines(self) -> Iterator[str]:
        """The report in words."""
        yield f"nDCG@10 of the judged items of {self.queries:,} queries ({self.pairs:,} pairs):"
        for each in self.measured:
            yield f"  {each.name:<9} {each.ndcg.mean:.3f}  [{each.ndcg.low:.3f}, {each.ndcg.high:.3f}]"
        yield (
            f"  reranker - recall: {self.gain.difference:+.3f} [{self.gain.low:+.3f}, {self.gain.high:+.3f}], "
            f"p = {self.gain.p_value:.3g}"
        )


def measure_judged(
    retriever: BaseRetriever,
    reranker: Reranker,
    queries: Mapping[str, str],
    qrels: Qrels,
    *,
    seed: int = 0,
) -> JudgedReport:
    """Order only the judged items of each query: at random, by recall, by the reranker, and by both.

    Nothing unjudged is in these rankings, so a model is not punished for finding what nobody has judged.

    Args:
        retriever: with the items indexed; its decay takes no part.
        reranker: what is measured; "blended" is with the retriever's own `relevance_weight`.
        queries: by id.
        qrels: grades by query and item; items that are not indexed are passed over.
        seed: of chance, the bootstrap and the permutation test.

    Raises:
        JudgementError: no query has an indexed relevant item.
    """
    indexed = {
        query: {item: grade for item, grade in grades.items() if item in retriever}
        for query, grades in qrels.items()
    }
    judged = {query: grades for query, grades in indexed.items() if max(grades.values(), default=0) > 0}
    if not judged:
        raise JudgementError("no query has a relevant item that is indexed: there is nothing to measure on")
    rng = np.random.default_rng(seed)
    remembering = Remembering(reranker)
    recall = retriever.using(reranker=None, decay=None)
    ways = {
        RECALL: recall,
        RERANKER: recall.using(reranker=remembering, relevance_weight=1.0),
        "blended": recall.using(reranker=remembering),
    }
    runs = {
        "random": {
            query: dict(zip(judged[query], rng.random(len(judged[query])), strict=True)) for query in judged
        }
    }
    runs |= {name: judged_run(way, queries, judged) for name, way in ways.items()}
    measured = tuple(
        Measured(name, mean_interval(query_values(run, judged, METRIC), seed=seed))
        for name, run in runs.items()
    )
    gain = compare(runs[RERANKER], runs[RECALL], judged, METRIC, seed=seed)
    return JudgedReport(measured, gain, len(judged), sum(map(len, judged.values())))


def judged_run(
    retriever: BaseRetriever, queries: Mapping[str, str], judged: Qrels
) -> dict[str, dict[str, float]]:
    """Each query's judged items, which are indexed, as a retriever scores them."""
    return {
        query: {
            hit.id: hit.score
            for hit in retriever.search(queries[query], len(grades), where={"id": {"$in": list(grades)}})
        }
        for query, grades in judged.items()
    }
