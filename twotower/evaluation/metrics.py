"""Ranking metrics against graded judgements, by name, on plain dicts; the numbers are trec_eval's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict, Unpack

from multimodal.checks import check_choice, check_number
from twotower.evaluation.checks import check_qrels, check_run, metric_names

Gain: TypeAlias = Literal["linear", "exponential"]
Unjudged: TypeAlias = Literal["irrelevant", "condensed"]
Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each query's id the score of each document found; higher is better."""
Qrels: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each query's id the grade of each judged document, any finite number."""
PerQuery: TypeAlias = dict[str, float]
"""One value for each query's id."""


class Counting(TypedDict, total=False):
    """How metrics count: keyword arguments of `evaluate_queries`, for functions that pass them on."""

    relevant: float
    gain: Gain
    unjudged: Unjudged


DEFAULT_METRICS = ("ndcg@10", "judged@10", "mrr@10", "hr@10", "recall@100")


def evaluate_run(
    run: Run, qrels: Qrels, metrics: Sequence[str] = DEFAULT_METRICS, **counting: Unpack[Counting]
) -> dict[str, float]:
    """Average metrics over the queries that have at least one relevant document.

    A query without a relevant document is left out, since no ranking of it is better than another. A query that the
    run lacks counts 0, and one that only the run has is ignored.

    Args:
        run: scores by query and document.
        qrels: grades by query and document.
        metrics: names, as in `evaluate_queries`.
        counting: `relevant`, `gain` and `unjudged`, as in `evaluate_queries`.

    Returns:
        The mean of each metric, by the name given.

    Raises:
        ValueError: as in `evaluate_queries`.
    """
    values = evaluate_queries(run, qrels, metrics, **counting)
    return {name: math.fsum(each.values()) / len(each) for name, each in values.items()}


def evaluate_queries(
    run: Run,
    qrels: Qrels,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    relevant: float = 1,
    gain: Gain = "linear",
    unjudged: Unjudged = "irrelevant",
) -> dict[str, PerQuery]:
    """Compute metrics for each query that has at least one relevant document.

    Documents are ranked by score and then by id, both descending, as trec_eval does, but without its rounding of
    scores to single precision.

    Metrics (k is any positive number; where it is in brackets it is optional):

    - ndcg[@k]: Järvelin and Kekäläinen 2002, with the discount 1 / log2(rank + 1); ideal over all judged documents
    - mrr[@k]: reciprocal rank of the first relevant document
    - map[@k]: average precision
    - precision@k, recall@k, f1@k: f1 is the harmonic mean of the other two
    - hr@k: whether one of the first k is relevant; accuracy@k is another name for it, as in sentence-transformers
    - judged@k: share of the first k (or of all, if there are fewer) that is judged at all

    Args:
        run: scores by query and document.
        qrels: grades by query and document.
        metrics: names from the list above.
        relevant: the lowest grade that counts as relevant; nDCG uses the grades themselves.
        gain: for nDCG, "linear" is the grade itself, as in trec_eval, "exponential" is 2**grade - 1. Negative
            grades gain nothing.
        unjudged: documents without a grade count as "irrelevant", or are removed from the ranking before anything
            is measured ("condensed" list, Sakai 2007, "Alternatives to Bpref"); judged@k always sees them.

    Returns:
        By metric and query id; the queries are those of `qrels` with a relevant document, in that order.

    Raises:
        ValueError: an unknown metric, or no query with a relevant document.
        JudgementError: a run or judgements of another form, such as ids that are not text or a score that is NaN.
    """
    check_qrels(qrels)
    check_run(run)
    check_choice("gain", gain, ("linear", "exponential"))
    check_number("relevant", relevant)
    check_choice("unjudged", unjudged, ("irrelevant", "condensed"))
    measures = {name: _measure(name, relevant, gain) for name in metric_names(metrics)}
    counted = {
        query: grades for query, grades in qrels.items() if max(grades.values(), default=0) >= relevant
    }
    if not counted:
        raise ValueError(
            f"no query has a document of grade {relevant:g} or higher: there is nothing to average"
        )
    ranked = {query: ranking(run.get(query, {})) for query in counted}
    condensed = {
        query: ids if unjudged == "irrelevant" else [id_ for id_ in ids if id_ in counted[query]]
        for query, ids in ranked.items()
    }
    return {
        name: {
            query: measure((ranked if name.startswith("judged") else condensed)[query], grades)
            for query, grades in counted.items()
        }
        for name, measure in measures.items()
    }


def ranking(scores: Mapping[str, float]) -> list[str]:
    """Ids by score and then by id, both descending."""
    return sorted(scores, key=lambda id_: (scores[id_], id_), reverse=True)


def ndcg(ids: Sequence[str], grades: Mapping[str, float], k: int | None, gain: Gain) -> float:
    """sum(gain / log2(rank + 1)) over the first k, divided by the same sum of the ideal ranking."""

    def dcg(ranked: Sequence[float]) -> float:
        gains = (2**grade - 1 if gain == "exponential" else grade for grade in ranked)
        return math.fsum(each / math.log2(rank + 1) for rank, each in enumerate(gains, start=1))

    found = [max(grades.get(id_, 0), 0) for id_ in ids[:k]]
    ideal = dcg(sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:k])
    return dcg(found) / ideal if ideal else 0.0


def judged(ids: Sequence[str], grades: Mapping[str, float], k: int | None) -> float:
    """Judged documents among the first k / documents there."""
    return sum(id_ in grades for id_ in ids[:k]) / max(len(ids[:k]), 1)


def reciprocal_rank(hits: Sequence[bool], total: int, k: int) -> float:
    """1 / rank of the first hit."""
    return 1 / (hits.index(True) + 1) if True in hits else 0.0


def average_precision(hits: Sequence[bool], total: int, k: int) -> float:
    """sum(precision at the rank of each hit) / total."""
    ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
    return math.fsum(number / rank for number, rank in enumerate(ranks, start=1)) / total


def precision(hits: Sequence[bool], total: int, k: int) -> float:
    """Hits / k, however few documents were found."""
    return sum(hits) / k


def recall(hits: Sequence[bool], total: int, k: int) -> float:
    """Hits / total."""
    return sum(hits) / total


def f1(hits: Sequence[bool], total: int, k: int) -> float:
    """2 * precision * recall / (precision + recall), which is 2 * hits / (k + total)."""
    return 2 * sum(hits) / (k + total)


def hit_rate(hits: Sequence[bool], total: int, k: int) -> float:
    """1 if there is a hit, else 0."""
    return float(any(hits))


HIT_METRICS: Mapping[str, Callable[[Sequence[bool], int, int], float]] = {
    "mrr": reciprocal_rank,
    "map": average_precision,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "hr": hit_rate,
    "accuracy": hit_rate,
}
"""Metrics of: whether each of the first k is relevant, how many relevant documents there are, and k."""
_WITHOUT_DEPTH = ("ndcg", "mrr", "map")
Measure: TypeAlias = Callable[[Sequence[str], Mapping[str, float]], float]


def _measure(name: str, relevant: float, gain: Gain) -> Measure:
    kind, at, depth = name.partition("@")
    if kind not in HIT_METRICS.keys() | {"ndcg", "judged"} or not (at or kind in _WITHOUT_DEPTH):
        raise ValueError(
            f"unknown metric '{name:.80}': known are ndcg, mrr and map with or without @k, and precision@k, "
            "recall@k, f1@k, hr@k, accuracy@k and judged@k"
        )
    if at and not (depth.isdecimal() and int(depth)):
        raise ValueError(f"unknown metric '{name:.80}': what follows @ must be a whole number of at least 1")
    k = int(depth) if at else None
    if kind == "ndcg":
        return lambda ids, grades: ndcg(ids, grades, k, gain)
    if kind == "judged":
        return lambda ids, grades: judged(ids, grades, k)
    metric = HIT_METRICS[kind]

    def of_hits(ids: Sequence[str], grades: Mapping[str, float]) -> float:
        hits = [id_ in grades and grades[id_] >= relevant for id_ in ids[:k]]
        return metric(hits, sum(grade >= relevant for grade in grades.values()), k or len(hits))

    return of_hits
