"""Quality of runs for the result file and for the eye: means with intervals, both views of unjudged items, ratios."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter, Row, Spread
from benchmarks.common.data import Dataset
from twotower.evaluation import (
    compare_all,
    evaluate_run,
    mean_interval,
    query_values,
    ratio_interval,
)
from twotower.evaluation.metrics import Counting, Qrels, Run

METRICS = ("ndcg@10", "judged@10", "mrr@10", "hr@10", "recall@100")


def counting_of(options: argparse.Namespace) -> Counting:
    """How `--relevant` and `--gain` count."""
    return {"relevant": options.relevant, "gain": options.gain}


def quality(
    run: Run, qrels: Qrels, counting: Counting, *, metrics: Sequence[str] = METRICS, seed: int = 0
) -> dict[str, float | Spread]:
    """Means of a run; of the first metric also the 95 % interval (_low, _high) and the condensed view."""
    primary = metrics[0]
    interval = mean_interval(query_values(run, qrels, primary, **counting), seed=seed)
    condensed = Counting(relevant=counting["relevant"], gain=counting["gain"], unjudged="condensed")
    return {
        primary: interval.mean,
        f"{primary}_low": interval.low,
        f"{primary}_high": interval.high,
        f"{primary}_condensed": evaluate_run(run, qrels, [primary], **condensed)[primary],
        **evaluate_run(run, qrels, metrics[1:], **counting),
    }


def quality_ratio(
    ours: Run, peer: Run, qrels: Qrels, counting: Counting, *, metric: str = "ndcg@10", seed: int = 0
) -> Spread | None:
    """`ratio_of_means` of two runs."""
    values = [query_values(run, qrels, metric, **counting) for run in (ours, peer)]
    return ratio_of_means(values[0], values[1], seed=seed)


def ratio_of_means(ours: NDArray[np.float64], peer: NDArray[np.float64], *, seed: int = 0) -> Spread | None:
    """Our mean over the peer's, of values by query or user, each shape (n,); None where the peer finds nothing.

    A ranking repeated gives the same ranking, so the spread is not over repetitions: `min` and `max` are the 95 %
    bootstrap interval over the queries, drawn in pairs.
    """
    if not peer.any():
        return None
    found = ratio_interval(ours, peer, seed=seed)
    return Spread(found.mean, found.low, found.high, len(ours))


def shared_params(data: Dataset, options: argparse.Namespace) -> dict[str, Parameter]:
    """What all rows of a table have in common: data, and how it is counted."""
    return {
        "data": data.folder.name if options.data is not None else "sample shop",
        "split": options.split,
        "queries": len(data.qrels),
        "items": len(data.items),
        "gain": options.gain,
        "relevant": options.relevant,
        "unjudged": "irrelevant",
    }


def quality_table(
    rows: Sequence[Row],
    runs: Mapping[str, Run],
    baseline: str,
    qrels: Qrels,
    counting: Counting,
    *,
    seed: int = 0,
) -> str:
    """A Markdown table of rows that have the metrics of `quality`, each compared with a baseline.

    Args:
        rows: in the order to show.
        runs: by the rows' systems.
        baseline: one of them.
        qrels: grades.
        counting: as for the rows.
        seed: of the tests.
    """
    others = {name: run for name, run in runs.items() if name != baseline}
    compared = compare_all(others, runs[baseline], qrels, **counting, seed=seed)
    header = [
        "system",
        "ndcg@10",
        "95 % interval",
        "condensed",
        *METRICS[1:],
        f"over {baseline}",
        "interval",
        "p (Holm)",
    ]
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    for row in rows:
        metrics = row.metrics
        cells = [
            row.system,
            f"{metrics['ndcg@10']:.4f}",
            f"{metrics['ndcg@10_low']:.4f} to {metrics['ndcg@10_high']:.4f}",
            f"{metrics['ndcg@10_condensed']:.4f}",
            *(f"{metrics[name]:.4f}" for name in METRICS[1:]),
        ]
        if row.system in compared:
            found = compared[row.system]
            cells += [
                f"{found.difference:+.4f}",
                f"{found.low:+.4f} to {found.high:+.4f}",
                f"{found.p_holm:.4f}",
            ]
        else:
            cells += ["", "", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sentence(ratios: Mapping[str, Spread]) -> str:
    """The headline of a benchmark of quality: some of its ratios by name."""
    told = (
        f"{name}: {ratio.median:.3f} ({ratio.min:.3f} to {ratio.max:.3f}, {ratio.n} queries)"
        for name, ratio in ratios.items()
    )
    return "; ".join(told) + ", with 95 % intervals."
