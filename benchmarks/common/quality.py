"""Quality of rankings: rows with intervals and significance, both views of unjudged items, ratios."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from benchmarks.common.contract import Parameter, Params, ResultRow, Spread
from benchmarks.common.data import Dataset
from twotower import Item, Retriever
from twotower.evaluation import (
    bm25_run,
    compare_all,
    evaluate_run,
    mean_interval,
    query_values,
    random_run,
    ratio_interval,
    search_run,
)  # fmt: skip
from twotower.evaluation.metrics import Counting, Qrels, Run

NDCG = "ndcg@10"
DEPTH = 100  # hits of each query
LEAST_JUDGED = 3  # items of a query, where only those are ranked: fewer leave little to order
METRICS = (NDCG, "judged@10", "mrr@10", "hr@10", "recall@100")
JUDGED_METRICS = (NDCG, "mrr@10")


def counting_of(options: Namespace) -> Counting:
    """The meaning of `--relevant` and `--gain`."""
    return {"relevant": options.relevant, "gain": options.gain}


def baseline_runs(data: Dataset, items: Sequence[Item], seed: int) -> dict[str, Run]:
    """A random ranking of some items, and BM25's."""
    return {
        "random": random_run(data.queries, [item.id for item in items], DEPTH, seed=seed),
        "bm25": bm25_run(data.texts, items, DEPTH),
    }


def search_runs(
    systems: Mapping[str, Retriever],
    data: Dataset,
    depth: int = DEPTH,
    *,
    words_only: Collection[str] = (),
    now: datetime | None = None,
) -> dict[str, Run]:
    """Search all queries with every system; those of `words_only` get the queries that have words."""
    total = len(systems) * len(data.queries)
    with tqdm(total=total, desc="searching", unit="query", disable=None, leave=False) as bar:
        asked = {name: data.worded if name in words_only else data.queries for name in systems}
        return {
            name: search_run(retriever, asked[name], depth, now=now, advance=bar.update)
            for name, retriever in systems.items()
        }


def quality_rows(
    runs: Mapping[str, Run],
    params: Mapping[str, Params],
    qrels: Qrels,
    options: Namespace,
    *,
    baseline: str | None = None,
    metrics: Sequence[str] = METRICS,
) -> list[ResultRow]:
    """One row for each run: means, and of the first metric its 95 % interval (_low, _high) and condensed view.

    With a baseline the other runs are compared with it on the first metric: the mean difference with its bootstrap
    interval, and the p-value of a paired permutation test, Holm-corrected.
    """
    primary, counting, seed = metrics[0], counting_of(options), options.seed
    others = {name: run for name, run in runs.items() if name != baseline}
    compared = compare_all(others, runs[baseline], qrels, primary, **counting, seed=seed) if baseline else {}
    rows = []
    for name, run in runs.items():
        interval = mean_interval(query_values(run, qrels, primary, **counting), seed=seed)
        condensed = evaluate_run(run, qrels, [primary], **counting, unjudged="condensed")
        found: dict[str, float | Spread] = {
            **with_ends(primary, interval.mean, interval),
            f"{primary}_condensed": condensed[primary],
            **evaluate_run(run, qrels, metrics[1:], **counting),
        }
        if name in compared:
            found |= with_ends(f"difference_vs_{baseline}", compared[name].difference, compared[name])
            found[f"p_holm_vs_{baseline}"] = compared[name].p_holm
        rows.append(ResultRow(name, params[name], found))
    return rows


def with_ends(name: str, mean: float, interval: Any) -> dict[str, float | Spread]:
    """A mean, with the ends of its interval as _low and _high."""
    return {name: mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def quality_ratios(
    runs: Mapping[str, Run],
    pairs: Iterable[tuple[str, str]],
    qrels: Qrels,
    options: Namespace,
    *,
    metric: str = NDCG,
    note: str = "",
) -> dict[str, Spread]:
    """Our mean over the peer's for each pair of runs present, by "OURS / PEER : METRIC NOTE"."""
    values = {name: query_values(run, qrels, metric, **counting_of(options)) for name, run in runs.items()}
    ratios = {
        f"{ours} / {peer} : {metric} {note}".rstrip(): ratio_of_means(
            values[ours], values[peer], options.seed
        )
        for ours, peer in pairs
        if ours in values and peer in values
    }
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def ratio_of_means(ours: NDArray[np.float64], peer: NDArray[np.float64], seed: int = 0) -> Spread | None:
    """Our mean over the peer's, of values by query or user, each of shape (n,); None if the peer finds nothing.

    Repeating a ranking gives the same ranking, so `min` and `max` are not a range over repetitions but the 95 %
    interval of a paired bootstrap over the queries.
    """
    if not peer.any():
        return None
    found = ratio_interval(ours, peer, seed=seed)
    return Spread(found.mean, found.low, found.high, len(ours))


def shared_params(data: Dataset, options: Namespace) -> dict[str, Parameter]:
    """What all rows of a table have in common: the data, and how it is counted."""
    return {
        "data": data.name,
        "split": options.split,
        "queries": len(data.qrels),
        "items": len(data.items),
        **counting_of(options),
        "unjudged": "irrelevant",
    }


def sentence(ratios: Mapping[str, Spread]) -> str:
    """The headline of a quality benchmark: some of its ratios by name."""
    named = (f"{name}: {ratio} on {ratio.n} queries" for name, ratio in ratios.items())
    return "; ".join(named) + ", with 95 % intervals."
