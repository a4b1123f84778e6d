"""The view in which nothing is unjudged: only the judged products of each query are ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.common.contract import Parameter, Row, Spread
from benchmarks.common.data import Dataset
from benchmarks.common.quality import ratio_of_means
from twotower import Item, Retriever
from twotower.evaluation import evaluate_run, mean_interval, query_values, random_run
from twotower.evaluation.baselines import BM25
from twotower.evaluation.judgements import judged_run
from twotower.evaluation.metrics import Counting, Qrels, Run

LEAST = 3  # judged products of a query: with fewer there is little to order


def judged_runs(
    retrievers: Mapping[str, Retriever], data: Dataset, *, seed: int
) -> tuple[dict[str, Run], Qrels]:
    """Rank only what is judged, by chance, by words and by each retriever.

    Args:
        retrievers: by name.
        data: its queries and judgements.
        seed: of chance.

    Returns:
        Runs, and the judgements of the queries in them.
    """
    known = {item.id for item in data.items}
    judged = {
        query: {item: grade for item, grade in grades.items() if item in known}
        for query, grades in data.qrels.items()
        if query in data.worded
    }
    qrels = {query: grades for query, grades in judged.items() if len(grades) >= LEAST}
    runs: dict[str, Run] = {
        "random": {
            query: random_run([query], list(grades), len(grades), seed=seed + number)[query]
            for number, (query, grades) in enumerate(qrels.items())
        },
        "bm25": _bm25(data.items, data.texts, qrels),
    }
    for name, retriever in retrievers.items():
        runs[name] = judged_run(retriever, data.queries, qrels)
    return runs, qrels


def judged_rows(
    runs: Mapping[str, Run], qrels: Qrels, counting: Counting, shared: Mapping[str, Parameter], *, seed: int
) -> list[Row]:
    """nDCG@10 of each, and how much of the way from chance to perfect it goes, with 95 % intervals over queries."""
    values = {name: query_values(run, qrels, "ndcg@10", **counting) for name, run in runs.items()}
    missing = 1 - values["random"]
    rows = []
    for name, own in values.items():
        interval = mean_interval(own, seed=seed)
        metrics: dict[str, float | Spread] = {
            "ndcg@10": interval.mean,
            "ndcg@10_low": interval.low,
            "ndcg@10_high": interval.high,
            **evaluate_run(runs[name], qrels, ["mrr@10"], **counting),
        }
        if (
            name != "random"
            and (closed := ratio_of_means(own - values["random"], missing, seed=seed)) is not None
        ):
            metrics["gap_closed"] = closed
        rows.append(Row(name, {**shared, "ranked": "judged only", "queries": len(own)}, metrics))
    return rows


def judged_table(rows: Sequence[Row]) -> str:
    """A Markdown table of `judged_rows`."""
    lines = [
        "| only judged products | ndcg@10 | 95 % interval | of the gap from random to perfect | mrr@10 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        found, closed = row.metrics, row.metrics.get("gap_closed")
        gap = (
            f"{closed.median:.3f} ({closed.min:.3f} to {closed.max:.3f})"
            if isinstance(closed, Spread)
            else ""
        )
        lines.append(
            f"| {row.system} | {found['ndcg@10']:.4f} | {found['ndcg@10_low']:.4f} to "
            f"{found['ndcg@10_high']:.4f} | {gap} | {found['mrr@10']:.4f} |"
        )
    return "\n".join(lines)


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
