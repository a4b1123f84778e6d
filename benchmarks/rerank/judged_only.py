"""How well cross-encoders order judged items: whether a faster one is as good."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import product

from benchmarks.common.contract import Parameter, Result
from benchmarks.common.data import Dataset
from benchmarks.common.quality import LEAST_JUDGED, NDCG, counting_of, quality_ratios, quality_rows
from benchmarks.rerank.systems import Score
from twotower.evaluation.metrics import Qrels, Run

FIRST = 300  # queries with enough judged items


def add_judged_quality(
    result: Result,
    scores: Mapping[str, Score],
    data: Dataset,
    options: argparse.Namespace,
    shared: Mapping[str, Parameter],
) -> None:
    """Rank only the judged items of each query, with every system.

    Args:
        result: gets the rows and ratios.
        scores: of pairs, by system; ratios compare the others with the first.
        data: its items, queries and judgements.
        options: how grades count.
        shared: parameters of every row.
    """
    qrels = dict(list(data.judged_only(LEAST_JUDGED).items())[:FIRST])
    runs = {name: _run(score, data, qrels) for name, score in scores.items()}
    reference, *others = runs
    counting = counting_of(options)
    params = {**shared, "way": "judged", "queries": len(qrels), "pairs": sum(map(len, qrels.values()))}
    result.rows += quality_rows(
        runs, dict.fromkeys(runs, params), qrels, counting, metrics=(NDCG, "mrr@10"), seed=options.seed
    )
    result.ratios |= quality_ratios(
        runs, product(others, [reference]), qrels, counting, note="judged", seed=options.seed
    )


def _run(score: Score, data: Dataset, qrels: Qrels) -> Run:
    words = {item.id: item.words for item in data.items}
    asked = [(query, item) for query, grades in qrels.items() for item in grades]
    found = score([(data.queries[query].text, words[item]) for query, item in asked])
    run: dict[str, dict[str, float]] = {}
    for (query, item), each in zip(asked, found.tolist(), strict=True):
        run.setdefault(query, {})[item] = each
    return run
