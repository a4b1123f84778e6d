"""Ranking metrics against graded judgements, by name, on plain dicts; the numbers are trec_eval's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

import ir_measures
from ir_measures import AP, RR, Judged, P, R, Success, nDCG

Gain: TypeAlias = Literal["linear", "exponential"]
Unjudged: TypeAlias = Literal["irrelevant", "condensed"]
Run: TypeAlias = Mapping[str, Mapping[str, float]]
"""For each query's id the score of each document found; higher is better."""
Qrels: TypeAlias = Mapping[str, Mapping[str, int]]
"""For each query's id the grade of each judged document."""
PerQuery: TypeAlias = dict[str, float]
"""One value for each query's id."""


class Counting(TypedDict, total=False):
    """How metrics count: the keyword arguments of `evaluate_run`, for functions that pass them on."""

    relevant: int
    gain: Gain
    unjudged: Unjudged


DEFAULT_METRICS = ("ndcg@10", "judged@10", "mrr@10", "hr@10", "recall@100")


def evaluate_run(
    run: Run,
    qrels: Qrels,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    relevant: int = 1,
    gain: Gain = "linear",
    unjudged: Unjudged = "irrelevant",
) -> dict[str, float]:
    """Means of metrics over the queries that have at least one relevant document.

    A query without a relevant document is left out, since every ranking of it is as good; one that the run misses
    counts 0; one that only the run has is left out. Documents are ranked by score and then by id, both descending,
    as trec_eval does, but without its rounding of scores to single precision.

    Metrics (k is any positive number; where it is in brackets it may be left out):

    - ndcg[@k]: Järvelin and Kekäläinen 2002, with the discount 1 / log2(rank + 1); ideal over all judged documents
    - mrr[@k]: reciprocal rank of the first relevant document
    - map[@k]: mean average precision
    - precision@k, recall@k, f1@k: f1 is the harmonic mean of the other two, query by query
    - hr@k: whether one of the first k is relevant; accuracy@k is another name of it, as in sentence-transformers
    - judged@k: share of the first k (or of all, if there are fewer) that is judged at all

    Args:
        run: scores by query and document.
        qrels: grades by query and document.
        metrics: names from the list above.
        relevant: the lowest grade that counts as relevant; nDCG reads grades themselves.
        gain: of nDCG: "linear" is the grade itself, as in trec_eval, "exponential" is 2**grade - 1. Negative
            grades gain nothing.
        unjudged: documents without a grade count as "irrelevant", or are taken out of the ranking before anything
            is measured ("condensed" list, Sakai 2007, "Alternatives to Bpref"); judged@k sees them in any case.

    Returns:
        The mean of each metric, by the name given.

    Raises:
        ValueError: an unknown metric, a score that is NaN, or no query with a relevant document.
    """
    values = evaluate_queries(run, qrels, metrics, relevant=relevant, gain=gain, unjudged=unjudged)
    return {name: math.fsum(each.values()) / len(each) for name, each in values.items()}


def evaluate_queries(
    run: Run,
    qrels: Qrels,
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    relevant: int = 1,
    gain: Gain = "linear",
    unjudged: Unjudged = "irrelevant",
) -> dict[str, PerQuery]:
    """What `evaluate_run` averages: the value of each metric for each query.

    Args:
        run: as in `evaluate_run`, and so are the others.
        qrels: grades.
        metrics: names.
        relevant: threshold.
        gain: of nDCG.
        unjudged: "irrelevant" or "condensed".

    Returns:
        By metric and query id; the queries are those of `qrels` with a relevant document, in that order.

    Raises:
        ValueError: as in `evaluate_run`.
    """
    measures = {name: _parse(name, relevant, _gains(qrels, gain)) for name in metrics}
    if unjudged not in ("irrelevant", "condensed"):
        raise ValueError(f"unjudged={unjudged!r} must be 'irrelevant' or 'condensed'.")
    judged = {query: grades for query, grades in qrels.items() if max(grades.values(), default=0) >= relevant}
    if not judged:
        raise ValueError(f"No query has a document of grade {relevant} or more; there is nothing to average.")
    ranked = {query: ranking(query, run.get(query, {})) for query in judged}
    condensed = {
        query: ids if unjudged == "irrelevant" else [id_ for id_ in ids if id_ in judged[query]]
        for query, ids in ranked.items()
    }
    return {
        name: combine(judged, ranked if name.startswith("judged") else condensed)
        for name, combine in measures.items()
    }


def ranking(query: str, scores: Mapping[str, float]) -> list[str]:
    """Ids by score and then by id, both descending.

    Raises:
        ValueError: a score is NaN.
    """
    for id_, score in scores.items():
        if math.isnan(score):
            raise ValueError(
                f"The run's score of document {id_!r} for query {query!r} is NaN; repair the run."
            )
    return sorted(scores, key=lambda id_: (scores[id_], id_), reverse=True)


Rankings: TypeAlias = Mapping[str, Sequence[str]]
Metric: TypeAlias = Callable[[Qrels, Rankings], PerQuery]


def _parse(name: str, relevant: int, gains: Mapping[int, int]) -> Metric:
    kind, at, depth = name.partition("@")
    if at and not (depth.isdecimal() and int(depth)):
        raise ValueError(f"Unknown metric {name!r}: what follows the @ must be a number of at least 1.")
    k = int(depth) if at else None
    match kind, k:
        case "ndcg", _:
            measure = nDCG(gains=gains)
            return lambda qrels, ranked: _calculate(measure @ k if k else measure, qrels, ranked)
        case "map", _:
            measure = AP(rel=relevant)
            return lambda qrels, ranked: _calculate(measure @ k if k else measure, qrels, ranked)
        case "mrr", _:
            return lambda qrels, ranked: _calculate(RR(rel=relevant), qrels, _cut(ranked, k))
        case "precision", int():
            return lambda qrels, ranked: _calculate(P(rel=relevant) @ k, qrels, ranked)
        case "recall", int():
            return lambda qrels, ranked: _calculate(R(rel=relevant) @ k, qrels, ranked)
        case "f1", int():
            return lambda qrels, ranked: _harmonic(
                _calculate(P(rel=relevant) @ k, qrels, ranked), _calculate(R(rel=relevant) @ k, qrels, ranked)
            )
        case (("hr" | "accuracy"), int()):
            return lambda qrels, ranked: _calculate(Success(rel=relevant) @ k, qrels, ranked)
        case "judged", int():
            return lambda qrels, ranked: _calculate(Judged @ k, qrels, ranked)
    raise ValueError(
        f"Unknown metric {name!r}; known are ndcg, mrr and map with or without @k, and precision@k, recall@k, "
        "f1@k, hr@k, accuracy@k and judged@k."
    )


def _calculate(measure: Any, qrels: Qrels, ranked: Rankings) -> PerQuery:
    # trec_eval reads scores in single precision; ranks stand for them, so that close scores stay apart.
    run = {query: {id_: -float(rank) for rank, id_ in enumerate(ids)} for query, ids in ranked.items() if ids}
    values = dict.fromkeys(qrels, 0.0)
    if run:
        for metric in ir_measures.iter_calc([measure], qrels, run):
            values[metric.query_id] = float(metric.value)
    return values


def _harmonic(precision: PerQuery, recall: PerQuery) -> PerQuery:
    return {
        query: 2 * p * recall[query] / (p + recall[query]) if p else 0.0 for query, p in precision.items()
    }


def _cut(ranked: Rankings, k: int | None) -> Rankings:
    return {query: ids[:k] for query, ids in ranked.items()}


def _gains(qrels: Qrels, gain: Gain) -> dict[int, int]:
    if gain not in ("linear", "exponential"):
        raise ValueError(f"gain={gain!r} must be 'linear' or 'exponential'.")
    grades: Iterable[int] = {grade for judged in qrels.values() for grade in judged.values()}
    return {grade: (2**grade - 1 if gain == "exponential" else grade) if grade > 0 else 0 for grade in grades}
