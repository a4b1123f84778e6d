"""Ranking metrics of one query, as pure functions, and their means over a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

Gain: TypeAlias = Literal["linear", "exponential"]


def ndcg_at_k(ranking: Sequence[str], judgements: Mapping[str, int], k: int, gain: Gain = "linear") -> float:
    """Normalised discounted cumulative gain of the first k results.

    DCG@k = sum over ranks r = 1..k of gain(grade at r) / log2(r + 1); nDCG@k = DCG@k / DCG@k of the best
    possible ranking of all judged documents. Unjudged documents and negative grades gain nothing.
    Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques", with the discount
    of Burges et al. 2005, "Learning to rank using gradient descent", whose gain is the exponential one.

    Args:
        ranking: ids, best first, each at most once.
        judgements: the grade of each judged id.
        k: how many results count, at least 1.
        gain: "linear" is the grade itself (as trec_eval), "exponential" is 2**grade - 1.

    Returns:
        A number in [0, 1]; 0 if no document has a positive grade.

    Raises:
        ValueError: k is below 1, or an id is ranked twice.
    """
    _check(ranking, k)
    ideal = _dcg(sorted(judgements.values(), reverse=True)[:k], gain)
    return _dcg((judgements.get(id_, 0) for id_ in ranking[:k]), gain) / ideal if ideal else 0.0


def mrr_at_k(ranking: Sequence[str], judgements: Mapping[str, int], k: int, relevant: int = 1) -> float:
    """Reciprocal rank of the first relevant document among the first k: 1 / rank, or 0 if there is none.

    Source: Voorhees 1999, "The TREC-8 Question Answering Track Report".

    Args:
        ranking: ids, best first, each at most once.
        judgements: the grade of each judged id.
        k: how many results count, at least 1.
        relevant: the lowest grade that counts as relevant.

    Returns:
        A number in [0, 1]; the mean over queries is the MRR.

    Raises:
        ValueError: k is below 1, or an id is ranked twice.
    """
    _check(ranking, k)
    relevant_ids = _relevant_ids(judgements, relevant)
    return next((1.0 / rank for rank, id_ in enumerate(ranking[:k], start=1) if id_ in relevant_ids), 0.0)


def hit_rate_at_k(ranking: Sequence[str], judgements: Mapping[str, int], k: int, relevant: int = 1) -> float:
    """Whether a relevant document is among the first k: 1 or 0.

    Source: Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms".

    Args:
        ranking: ids, best first, each at most once.
        judgements: the grade of each judged id.
        k: how many results count, at least 1.
        relevant: the lowest grade that counts as relevant.

    Returns:
        1.0 or 0.0; the mean over queries is the hit rate.

    Raises:
        ValueError: k is below 1, or an id is ranked twice.
    """
    return float(mrr_at_k(ranking, judgements, k, relevant) > 0)


def evaluate_run(
    run: Mapping[str, Mapping[str, float]],
    qrels: Mapping[str, Mapping[str, int]],
    metrics: Sequence[str] = ("ndcg@10", "mrr@10", "hr@10"),
    *,
    relevant: int = 1,
    gain: Gain = "linear",
) -> dict[str, float]:
    """Means of metrics over the queries that have at least one relevant document.

    A query that the run misses counts 0; one that only the run has is left out. Documents are ranked by score and
    then by id, both descending, as trec_eval does.

    Args:
        run: for each query the score of each document found; higher is better.
        qrels: for each query the grade of each judged document.
        metrics: "ndcg@k", "mrr@k" or "hr@k" with any k.
        relevant: the lowest grade that counts as relevant.
        gain: see `ndcg_at_k`.

    Returns:
        The mean of each metric, by the name given.

    Raises:
        ValueError: an unknown metric, a score that is NaN, or no query with a relevant document.
    """
    measures = {name: _measure(name, relevant, gain) for name in metrics}
    judged = {query: grades for query, grades in qrels.items() if _relevant_ids(grades, relevant)}
    if not judged:
        raise ValueError(f"No query has a document of grade {relevant} or more; there is nothing to average.")
    rankings = {query: _ranking(query, run.get(query, {})) for query in judged}
    return {
        name: math.fsum(measure(rankings[query], grades) for query, grades in judged.items()) / len(judged)
        for name, measure in measures.items()
    }


Measure: TypeAlias = Callable[[Sequence[str], Mapping[str, int]], float]


def _measure(name: str, relevant: int, gain: Gain) -> Measure:
    kind, _, depth = name.partition("@")
    if kind not in ("ndcg", "mrr", "hr") or not (depth.isdecimal() and int(depth)):
        raise ValueError(f"Unknown metric {name!r}; known are ndcg@k, mrr@k and hr@k with k of at least 1.")
    k = int(depth)
    if kind == "ndcg":
        return lambda ranking, grades: ndcg_at_k(ranking, grades, k, gain)
    if kind == "mrr":
        return lambda ranking, grades: mrr_at_k(ranking, grades, k, relevant)
    return lambda ranking, grades: hit_rate_at_k(ranking, grades, k, relevant)


def _ranking(query: str, scores: Mapping[str, float]) -> list[str]:
    for id_, score in scores.items():
        if score != score:
            raise ValueError(
                f"The run's score of document {id_!r} for query {query!r} is NaN; repair the run."
            )
    return sorted(scores, key=lambda id_: (scores[id_], id_), reverse=True)


def _relevant_ids(judgements: Mapping[str, int], relevant: int) -> set[str]:
    return {id_ for id_, grade in judgements.items() if grade >= relevant}


def _dcg(grades: Iterable[int], gain: Gain) -> float:
    return math.fsum(_gain(grade, gain) / math.log2(rank + 1) for rank, grade in enumerate(grades, start=1))


def _gain(grade: int, gain: Gain) -> float:
    positive = max(grade, 0)
    return 2.0**positive - 1.0 if gain == "exponential" else float(positive)


def _check(ranking: Sequence[str], k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}; it must be at least 1.")
    if len(set(ranking)) != len(ranking):
        raise ValueError("The ranking names a document twice; give each one once.")
