"""What `benchmarks.train` says about its measurements: ratios, table and sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import timing
from benchmarks.common.contract import Row, Spread

Values: TypeAlias = NDArray[np.float64]

OURS, PEER = "twotower", "sentence-transformers"
METRICS = ("ndcg@10", "recall@100")
RESAMPLES = 10_000


def quality_ratio(ours: Values, peer: Values, seed: int) -> Spread:
    """Ratio of two means over the same queries, with its 95% interval in place of the spread of repetitions.

    Each system is trained once, so there are no repetitions to take a median of. `median` is the ratio itself; `min`
    and `max` are the ends of the percentile bootstrap over queries, drawn in pairs (Efron 1979). They say what other
    queries would change, not what another seed of the training would.

    Args:
        ours: one value for each query, shape (queries,).
        peer: the same of the peer, in the same order; not all 0.
        seed: of the resamples.
    """
    draws = np.random.default_rng(seed).integers(len(ours), size=(RESAMPLES, len(ours)))
    above, below = ours[draws].mean(axis=1), peer[draws].mean(axis=1)
    low, high = np.percentile(above[below > 0] / below[below > 0], (2.5, 97.5))
    return Spread(float(ours.mean() / peer.mean()), float(low), float(high), len(ours))


def ratios_of(
    speed: Mapping[str, Mapping[str, timing.Seconds]],
    quality: Mapping[str, Mapping[str, Values]],
    budget: float,
    seed: int,
) -> dict[str, Spread]:
    """Every ratio of ours over the peer's, by its name.

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
    for metric in METRICS:
        if quality[PEER][metric].any():
            ratio = quality_ratio(quality[OURS][metric], quality[PEER][metric], seed)
            ratios[f"{OURS} / {PEER} : {metric} after {budget:g} s"] = ratio
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
    print("queries, with the 95% interval of a paired bootstrap over queries.\n")
    for name, ratio in ratios.items():
        print(f"- {name}: {_cell(ratio)}")


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
    if value is None:
        return ""
    if isinstance(value, Spread):
        return f"{value.median:.3g} ({value.min:.3g}-{value.max:.3g})"
    return f"{value:.4g}"
