"""How well cross-encoders order what was judged: whether a faster one is as good."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter, Row, Spread
from benchmarks.common.data import Dataset
from benchmarks.common.quality import counting_of, quality, quality_ratio
from twotower.evaluation.metrics import Qrels, Run

QUERIES, LEAST = (
    300,
    3,
)  # the first queries that have so many judged items: with fewer there is little to order
METRICS = ("ndcg@10", "mrr@10")
Score: TypeAlias = Callable[[list[tuple[str, str]]], NDArray[np.float32]]


def judged_quality(
    scores: Mapping[str, Score],
    data: Dataset,
    options: argparse.Namespace,
    shared: Mapping[str, Parameter],
    *,
    reference: str,
) -> tuple[list[Row], dict[str, Spread]]:
    """Rank only the judged items of each query.

    Args:
        scores: of pairs, by system.
        data: its items, queries and judgements.
        options: how grades count.
        shared: parameters of every row.
        reference: the system that ratios divide by.
    """
    words = {item.id: item.words for item in data.items}
    qrels = {
        query: grades
        for query, given in data.qrels.items()
        if len(grades := {item: grade for item, grade in given.items() if item in words}) >= LEAST
    }
    qrels = dict(list(qrels.items())[:QUERIES])
    runs = {name: _run(score, data, words, qrels) for name, score in scores.items()}
    counting = counting_of(options)
    params = {**shared, "way": "judged", "queries": len(qrels), "pairs": sum(map(len, qrels.values()))}
    rows = [
        Row(name, params, quality(run, qrels, counting, metrics=METRICS, seed=options.seed))
        for name, run in runs.items()
    ]
    ratios = {
        f"{name} / {reference} : ndcg@10 judged": ratio
        for name, run in runs.items()
        if name != reference
        and (ratio := quality_ratio(run, runs[reference], qrels, counting, seed=options.seed)) is not None
    }
    return rows, ratios


def _run(score: Score, data: Dataset, words: Mapping[str, str], qrels: Qrels) -> Run:
    asked = [(query, item) for query, grades in qrels.items() for item in grades]
    found = score([(data.queries[query].text, words[item]) for query, item in asked])
    run: dict[str, dict[str, float]] = {}
    for (query, item), each in zip(asked, found.tolist(), strict=True):
        run.setdefault(query, {})[item] = each
    return run
