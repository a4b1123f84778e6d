"""Quality of rankings: rows with intervals and significance, both views of unjudged items, ratios."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter, ResultRow, Spread
from benchmarks.common.data import Dataset
from twotower.evaluation import compare_all, evaluate_run, mean_interval, query_values, ratio_interval
from twotower.evaluation.metrics import Counting, Qrels, Run

NDCG = "ndcg@10"
DEPTH = 100  # hits of each query
LEAST_JUDGED = 3  # items of a query, where only those are ranked: fewer leave little to order
METRICS = (NDCG, "judged@10", "mrr@10", "hr@10", "recall@100")


def counting_of(options: argparse.Namespace) -> Counting:
    """The meaning of `--relevant` and `--gain`."""
    return {"relevant": options.relevant, "gain": options.gain}


def quality_rows(
    runs: Mapping[str, Run],
    params: Mapping[str, Mapping[str, Parameter]],
    qrels: Qrels,
    counting: Counting,
    *,
    baseline: str | None = None,
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
) -> list[ResultRow]:
    """One row for each run: means, and of the first metric its 95 % interval (_low, _high) and condensed view.

    Args:
        runs: scores by system, query and item.
        params: of each run's row.
        qrels: grades.
        counting: as in `evaluate_run`.
        baseline: the run that the others are compared with on the first metric: the mean difference with its
            bootstrap interval, and the p-value of a paired permutation test, Holm-corrected; None compares nothing.
        metrics: names.
        seed: of the bootstrap and the test.
    """
    primary = metrics[0]
    others = {name: run for name, run in runs.items() if name != baseline}
    compared = compare_all(others, runs[baseline], qrels, primary, **counting, seed=seed) if baseline else {}
    condensed = Counting(relevant=counting["relevant"], gain=counting["gain"], unjudged="condensed")
    rows = []
    for name, run in runs.items():
        interval = mean_interval(query_values(run, qrels, primary, **counting), seed=seed)
        found: dict[str, float | Spread] = {
            primary: interval.mean,
            f"{primary}_low": interval.low,
            f"{primary}_high": interval.high,
            f"{primary}_condensed": evaluate_run(run, qrels, [primary], **condensed)[primary],
            **evaluate_run(run, qrels, metrics[1:], **counting),
        }
        if name in compared:
            difference = f"difference_vs_{baseline}"
            found[difference] = compared[name].difference
            found |= {f"{difference}_low": compared[name].low, f"{difference}_high": compared[name].high}
            found[f"p_holm_vs_{baseline}"] = compared[name].p_holm
        rows.append(ResultRow(name, params[name], found))
    return rows


def quality_ratios(
    runs: Mapping[str, Run],
    pairs: Iterable[tuple[str, str]],
    qrels: Qrels,
    counting: Counting,
    *,
    metric: str = NDCG,
    note: str = "",
    seed: int = 0,
) -> dict[str, Spread]:
    """Our mean over the peer's for each pair of runs that are there, by "OURS / PEER : METRIC NOTE"."""
    values = {name: query_values(run, qrels, metric, **counting) for name, run in runs.items()}
    ratios = {
        f"{ours} / {peer} : {metric} {note}".rstrip(): ratio_of_means(values[ours], values[peer], seed=seed)
        for ours, peer in pairs
        if ours in values and peer in values
    }
    return {name: ratio for name, ratio in ratios.items() if ratio is not None}


def ratio_of_means(ours: NDArray[np.float64], peer: NDArray[np.float64], *, seed: int = 0) -> Spread | None:
    """Our mean over the peer's, of values by query or user, each shape (n,); None if the peer finds nothing.

    Repeating a ranking gives the same ranking, so `min` and `max` are no range of repetitions: they are the 95 %
    bootstrap interval over the queries, drawn in pairs.
    """
    if not peer.any():
        return None
    found = ratio_interval(ours, peer, seed=seed)
    return Spread(found.mean, found.low, found.high, len(ours))


def shared_params(data: Dataset, options: argparse.Namespace) -> dict[str, Parameter]:
    """What all rows of a table have in common: the data, and how it is counted."""
    return {
        "data": "sample shop" if options.data is None else data.folder.name,
        "split": options.split,
        "queries": len(data.qrels),
        "items": len(data.items),
        "gain": options.gain,
        "relevant": options.relevant,
        "unjudged": "irrelevant",
    }


def sentence(ratios: Mapping[str, Spread]) -> str:
    """The headline of a quality benchmark: some of its ratios by name."""
    named = (f"{name}: {ratio} on {ratio.n} queries" for name, ratio in ratios.items())
    return "; ".join(named) + ", with 95 % intervals."
