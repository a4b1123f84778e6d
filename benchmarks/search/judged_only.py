"""Rank only the judged products of each query, so that nothing is unjudged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.common.contract import Parameter, ResultRow
from benchmarks.common.data import Dataset
from benchmarks.common.quality import LEAST_JUDGED, NDCG, quality_rows, ratio_of_means
from twotower import Item, Retriever
from twotower.evaluation import judged_run, query_values, random_run
from twotower.evaluation.baselines import BM25
from twotower.evaluation.metrics import Counting, Qrels, Run


def judged_only_rows(
    retrievers: Mapping[str, Retriever],
    data: Dataset,
    counting: Counting,
    shared: Mapping[str, Parameter],
    *,
    seed: int,
) -> list[ResultRow]:
    """nDCG@10 of a random order, BM25 and each retriever, and how much of the gap from random to perfect it closes.

    Args:
        retrievers: by name, with the data's items.
        data: its queries and judgements.
        counting: as in `evaluate_run`.
        shared: parameters of every row.
        seed: of the random order and of the intervals over queries.
    """
    qrels = data.judged_only(LEAST_JUDGED)
    if not qrels:
        return []
    runs: dict[str, Run] = {
        "random": {
            query: random_run([query], list(grades), len(grades), seed=seed + number)[query]
            for number, (query, grades) in enumerate(qrels.items())
        },
        "bm25": _bm25(data.items, data.texts, qrels),
    }
    runs |= {name: judged_run(retriever, data.queries, qrels) for name, retriever in retrievers.items()}
    params = {**shared, "ranked": "judged only", "queries": len(qrels)}
    rows = quality_rows(
        runs, dict.fromkeys(runs, params), qrels, counting, metrics=(NDCG, "mrr@10"), seed=seed
    )
    values = [query_values(run, qrels, NDCG, **counting) for run in runs.values()]
    closed = [ratio_of_means(own - values[0], 1 - values[0], seed=seed) for own in values]
    return [rows[0]] + [
        row if gap is None else replace(row, metrics={**row.metrics, "gap_closed": gap})
        for row, gap in zip(rows[1:], closed[1:], strict=True)
    ]


def _bm25(items: Sequence[Item], queries: Mapping[str, str], qrels: Qrels) -> Run:
    """BM25 with the word frequencies of the whole corpus."""
    index = BM25([item.words for item in items])
    rows = {item.id: row for row, item in enumerate(items)}
    run: dict[str, dict[str, float]] = {}
    for query, grades in qrels.items():
        scores = np.zeros(len(items), dtype=np.float32)
        found, places = index.search(queries[query], len(items))
        scores[places] = found
        run[query] = {item: float(scores[rows[item]]) for item in grades}
    return run
