"""`python -m benchmarks report [FILES] [--out DIR]`: result files into tables and plots; it never measures."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.common.contract import RESULTS

KEYS = {"benchmark", "commit", "versions", "hardware", "seed", "rows", "ratios"}
LOWER_IS_BETTER = ("_ms", "_mb", "_bytes")
File: TypeAlias = Mapping[str, Any]


def main(argv: Sequence[str]) -> int:
    """Write report.md and its pictures.

    Args:
        argv: the arguments after "report".

    Returns:
        The exit code: 0, or 1 after a sentence on stderr where a file cannot be read.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument(
        "files", type=Path, nargs="*", help="result files (default: all in benchmarks/results)"
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "report", help="folder for report.md and pictures"
    )
    options = parser.parse_args(argv)
    paths = options.files or sorted(RESULTS.glob("*.json"))
    try:
        if not paths:
            raise ValueError(f"There is no result in {RESULTS}; run a benchmark first.")
        files = {path: read(path) for path in paths}
    except (OSError, ValueError) as error:
        print(f"report: {error}", file=sys.stderr)
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    sections = [worst_table(files.values())]
    for path, file in files.items():
        pictures = draw(file, options.out / path.stem)
        shown = "\n".join(f"\n![{picture.stem}]({picture.name})" for picture in pictures)
        sections.append(f"{heading(path, file)}\n\n{ratio_table(file)}\n{shown}\n\n{row_table(file)}")
    report = options.out / "report.md"
    report.write_text("# Benchmarks\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")
    print(report)
    return 0


def read(path: Path) -> File:
    """A result file.

    Raises:
        ValueError: it is no JSON, or not of the contract.
    """
    try:
        file = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON ({error}); write it again by running the benchmark.") from None
    if not isinstance(file, dict) or set(file) != KEYS:
        raise ValueError(f"{path} is no result of a benchmark: its keys must be {', '.join(sorted(KEYS))}.")
    return file


def heading(path: Path, file: File) -> str:
    """Which benchmark, and on what it ran."""
    hardware = file["hardware"]
    machine = f"{hardware.get('processor')}, {hardware.get('cores')} cores, {hardware.get('threads')} threads"
    gpu = f", {hardware['gpu']}" if "gpu" in hardware else ""
    facts = f"commit {file['commit'][:12]}, {machine}{gpu}, seed {file['seed']}"
    return f"## {file['benchmark']}\n\n{path.name}: {facts}."


def slowness(name: str, median: float) -> float:
    """How many times worse than the peer: above 1 is worse, whichever way the metric goes."""
    metric = name.partition(" : ")[2].split(" ")[0]
    if metric.endswith(LOWER_IS_BETTER):
        return median
    return math.inf if median == 0 else 1 / median


def worst_table(files: Iterable[File], count: int = 3) -> str:
    """The ratios in which we look worst, over all files."""
    found = [
        (slowness(name, ratio["median"]), file["benchmark"], name, ratio)
        for file in files
        for name, ratio in file["ratios"].items()
    ]
    lines = [
        "## Where we look worst",
        "",
        "| benchmark | ratio | median (min to max) | times worse |",
        "|---|---|---|---|",
    ]
    for times, benchmark, name, ratio in sorted(found, key=lambda entry: -entry[0])[:count]:
        lines.append(f"| {benchmark} | {name} | {_value(ratio)} | {times:.3g} |")
    return "\n".join(lines)


def ratio_table(file: File) -> str:
    """Every ratio with its spread."""
    lines = ["| ours / peer : metric | median (min to max) |", "|---|---|"]
    lines += [f"| {name} | {_value(ratio)} |" for name, ratio in file["ratios"].items()]
    return "\n".join(lines)


def row_table(file: File) -> str:
    """Every row: what differs between the rows as columns, what all share as a line above."""
    rows = file["rows"]
    names = list(dict.fromkeys(name for row in rows for name in row["params"]))
    shared = {
        name: rows[0]["params"][name]
        for name in names
        if all(row["params"].get(name, row) == rows[0]["params"].get(name, file) for row in rows)
    }
    differing = [name for name in names if name not in shared]
    metrics = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    header = ["system", *differing, *metrics]
    lines = [", ".join(f"{name} {value}" for name, value in shared.items()), ""] if shared else []
    lines += [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    for row in rows:
        params = (str(row["params"].get(name, "")) for name in differing)
        values = (_value(row["metrics"][name]) if name in row["metrics"] else "" for name in metrics)
        lines.append(f"| {' | '.join([row['system'], *params, *values])} |")
    return "\n".join(lines)


def draw(file: File, stem: Path) -> list[Path]:
    """A picture of the ratios on a logarithmic axis and, where there is quality, one of nDCG@10 by row."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    pictures = []
    ratios = {name: ratio for name, ratio in file["ratios"].items() if ratio["min"] > 0}
    if ratios:
        figure = Figure(figsize=(9, 1.2 + 0.3 * len(ratios)), layout="constrained")
        axes = figure.subplots()
        medians = [ratio["median"] for ratio in ratios.values()]
        below = [ratio["median"] - ratio["min"] for ratio in ratios.values()]
        above = [ratio["max"] - ratio["median"] for ratio in ratios.values()]
        worse = [slowness(name, ratio["median"]) > 1 for name, ratio in ratios.items()]
        axes.errorbar(medians, list(ratios), xerr=(below, above), fmt="none", ecolor="#888888", capsize=3)
        axes.scatter(medians, list(ratios), c=["#cc3311" if bad else "#228833" for bad in worse], zorder=3)
        axes.set_xscale("log")
        axes.axvline(1, color="#222222", linewidth=0.8)
        axes.invert_yaxis()
        axes.set_xlabel("ours / peer; green is better than the peer")
        pictures.append(stem.with_name(f"{stem.name}-ratios.png"))
        figure.savefig(pictures[-1])
    graded = [row for row in file["rows"] if "ndcg@10" in row["metrics"]]
    if graded:
        figure = Figure(figsize=(9, 1.2 + 0.3 * len(graded)), layout="constrained")
        axes = figure.subplots()
        places = list(range(len(graded)))
        axes.barh(places, [_median(row["metrics"]["ndcg@10"]) for row in graded], color="#4477aa")
        for place, row in zip(places, graded, strict=True):
            if "ndcg@10_low" in row["metrics"]:
                axes.plot(
                    [row["metrics"][f"ndcg@10_{end}"] for end in ("low", "high")],
                    [place] * 2,
                    color="#222222",
                )
        axes.set_yticks(places, [_label(row, graded) for row in graded])
        axes.invert_yaxis()
        axes.set_xlabel("nDCG@10, with 95 % interval where there is one")
        pictures.append(stem.with_name(f"{stem.name}-ndcg.png"))
        figure.savefig(pictures[-1])
    return pictures


def _label(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """The system, with what tells it apart from other rows of that system."""
    same = [other for other in rows if other["system"] == row["system"]]
    told = [
        f"{name} {value}"
        for name, value in row["params"].items()
        if any(other["params"].get(name) != value for other in same)
    ]
    return ", ".join([row["system"], *told])


def _median(value: float | Mapping[str, float]) -> float:
    return value["median"] if isinstance(value, Mapping) else value


def _value(value: float | Mapping[str, float]) -> str:
    if isinstance(value, Mapping):
        return f"{value['median']:.4g} ({value['min']:.4g} to {value['max']:.4g})"
    return f"{value:.4g}"
