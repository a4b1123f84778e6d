"""What `benchmarks.train` says about its measurements: ratios, table and sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import timing
from benchmarks.common.contract import Row, Spread
from benchmarks.common.quality import ratio_of_means
from benchmarks.common.table import print_ratios, told

Values: TypeAlias = NDArray[np.float64]

OURS, PEER = "twotower", "sentence-transformers"
COMPARED = ("ndcg@10", "recall@100")
METRICS = ("ndcg@10", "judged@10", "recall@100")


def ratios_of(
    speed: Mapping[str, Mapping[str, timing.Seconds]],
    quality: Mapping[str, Mapping[str, Values]],
    budget: float,
    seed: int,
) -> dict[str, Spread]:
    """Every ratio of ours over the peer's, by its name.

    Each system is trained once: the spread of a quality is over queries, not over seeds of the training.

    Args:
        speed: by precision and system the seconds of each repetition; quality was measured with the first.
        quality: by system and metric.
        budget: of the training, in seconds.
        seed: of the bootstrap.
    """
    ratios = {}
    for precision, seconds in speed.items():
        note = "" if precision == next(iter(speed)) else f" {precision}"
        ratio = timing.rate_ratio(seconds[OURS], seconds[PEER])
        ratios[f"{OURS} / {PEER} : examples_per_s{note}"] = ratio
    for metric in COMPARED:
        quotient = ratio_of_means(quality[OURS][metric], quality[PEER][metric], seed=seed)
        if quotient is not None:
            ratios[f"{OURS} / {PEER} : {metric} after {budget:g} s"] = quotient
    return ratios


def print_table(rows: Sequence[Row], ratios: Mapping[str, Spread]) -> None:
    """All rows and ratios, and how to read them."""
    names = (*METRICS, "examples_per_s", "steps", "examples", "train_s", "setup_s")
    print("| system | " + " | ".join(names) + " |")
    print("|---" * (1 + len(names)) + "|")
    for row in rows:
        cells = [row.metrics.get(name) for name in names]
        system = f"{row.system} {row.params.get('precision', '')}".strip()
        print(f"| {system} | " + " | ".join(_cell(cell) for cell in cells) + " |")
    print("\nSpeed: both in turns. Quality: each trained once, alone, one after the other.")
    print(
        "Ratios of examples_per_s: median and range of repetitions. Ratios of quality: of the means over the"
    )
    print("queries, with the 95% interval of a paired bootstrap over queries.")
    print_ratios(ratios)


def headline(rows: Sequence[Row], ratios: Mapping[str, Spread], budget: float) -> str:
    """The sentence with both ratios; without the peer, our speed."""
    rate = ratios.get(f"{OURS} / {PEER} : examples_per_s")
    if rate is None:
        own = next(row.metrics["examples_per_s"] for row in rows if row.system == OURS)
        return f"{OURS} trains on {_cell(own)} examples a second; {PEER}' trainer is not installed."
    sentence = (
        f"{OURS} trains on {_cell(rate)} times as many examples a second as {PEER} "
        f"(median and range of {rate.n} repetitions)"
    )
    after = f"ndcg@10 after {budget:g} s"
    quality = ratios.get(f"{OURS} / {PEER} : {after}")
    if quality is None:
        return f"{sentence}."
    return (
        f"{sentence}, and its {after} is {_cell(quality)} times theirs (95% bootstrap interval over queries)."
    )


def _cell(value: float | Spread | None) -> str:
    return "" if value is None else told(value)
