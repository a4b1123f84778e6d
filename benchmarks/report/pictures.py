"""Pictures of a result file: its ratios, and its quality if it has any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report.tables import File, distinguishing, slowness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(file: File, stem: Path) -> list[Path]:
    """Draw a file's ratios on a logarithmic axis and, if there is quality, nDCG@10 by row; returns the pictures."""
    pictures = []
    ratios = {name: ratio for name, ratio in file["ratios"].items() if ratio["min"] > 0}
    if ratios:
        figure, axes = _figure(len(ratios), "ours / peer; green is better than the peer")
        medians, lows, highs = np.transpose(
            [[each["median"], each["min"], each["max"]] for each in ratios.values()]
        )
        colours = [
            "#cc3311" if slowness(*each) > 1 else "#228833" for each in zip(ratios, medians, strict=True)
        ]
        ends = [medians - lows, highs - medians]
        axes.errorbar(medians, list(ratios), xerr=ends, fmt="none", ecolor="#888888", capsize=3)
        axes.scatter(medians, list(ratios), c=colours, zorder=3)
        axes.set_xscale("log")
        axes.axvline(1, color="#222222", linewidth=0.8)
        pictures.append(stem.with_name(f"{stem.name}-ratios.png"))
        figure.savefig(pictures[-1])
    graded = [row for row in file["rows"] if "ndcg@10" in row["metrics"]]
    if graded:
        figure, axes = _figure(len(graded), "nDCG@10, with 95 % interval where there is one")
        apart = distinguishing(graded)
        labels = [
            ", ".join(
                [row["system"], *(f"{name} {row['params'][name]}" for name in apart if name in row["params"])]
            )
            for row in graded
        ]
        axes.barh(range(len(graded)), [row["metrics"]["ndcg@10"] for row in graded], color="#4477aa")
        axes.set_yticks(range(len(graded)), labels)
        for place, metrics in enumerate(row["metrics"] for row in graded):
            if "ndcg@10_low" in metrics:
                axes.plot([metrics["ndcg@10_low"], metrics["ndcg@10_high"]], [place] * 2, color="#222222")
        pictures.append(stem.with_name(f"{stem.name}-ndcg.png"))
        figure.savefig(pictures[-1])
    return pictures


def _figure(lines: int, label: str) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(9, 1.2 + 0.3 * lines), layout="constrained")
    axes = figure.subplots()
    axes.invert_yaxis()
    axes.set_xlabel(label)
    return figure, axes
