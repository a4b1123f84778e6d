"""Rank only the judged products of each query, so that nothing is unjudged."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common.contract import Params, ResultRow
from benchmarks.common.data import Dataset
from benchmarks.common.quality import (
    JUDGED_METRICS,
    LEAST_JUDGED,
    NDCG,
    counting_of,
    quality_rows,
    ratio_of_means,
)  # fmt: skip
from twotower import Retriever
from twotower.evaluation import judged_run, query_values, random_run
from twotower.evaluation.baselines import BM25
from twotower.evaluation.metrics import Qrels, Run


def judged_only_rows(
    retrievers: Mapping[str, Retriever], data: Dataset, options: Namespace, shared: Params
) -> list[ResultRow]:
    """nDCG@10 of a random order, BM25 and each retriever, and the share of the gap from random to perfect closed."""
    qrels, seed = data.judged_only(LEAST_JUDGED), options.seed
    if not qrels:
        return []
    runs: dict[str, Run] = {
        "random": {
            query: random_run([query], list(grades), len(grades), seed=seed + number)[query]
            for number, (query, grades) in enumerate(qrels.items())
        },
        "bm25": _bm25(data, qrels),
    }
    for name in tqdm(retrievers, desc="judged only", unit="system", disable=None, leave=False):
        runs[name] = judged_run(retrievers[name], data.queries, qrels)
    params = {**shared, "ranked": "judged only", "queries": len(qrels)}
    rows = quality_rows(runs, dict.fromkeys(runs, params), qrels, options, metrics=JUDGED_METRICS)
    chance, *others = (query_values(run, qrels, NDCG, **counting_of(options)) for run in runs.values())
    closed = [ratio_of_means(own - chance, 1 - chance, seed) for own in others]
    return [rows[0]] + [
        row if gap is None else replace(row, metrics={**row.metrics, "gap_closed": gap})
        for row, gap in zip(rows[1:], closed, strict=True)
    ]


def _bm25(data: Dataset, qrels: Qrels) -> Run:
    """BM25 with the word frequencies of the whole corpus."""
    index = BM25([item.words for item in data.items])
    rows = {item.id: row for row, item in enumerate(data.items)}
    run: dict[str, dict[str, float]] = {}
    for query, grades in qrels.items():
        scores = np.zeros(len(data.items), dtype=np.float32)
        found, places = index.search(data.queries[query].text, len(data.items))
        scores[places] = found
        run[query] = {item: float(scores[rows[item]]) for item in grades}
    return run
