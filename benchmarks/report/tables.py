"""Result files as Markdown tables."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

KEYS = {"benchmark", "commit", "versions", "hardware", "seed", "rows", "ratios"}
LOWER_IS_BETTER = ("_ms", "_mb", "_bytes", "_s")
RATES = "_per_s"
ENDS = ("_low", "_high")
File: TypeAlias = Mapping[str, Any]


def read(path: Path) -> File:
    """A result file.

    Raises:
        ValueError: it is not JSON, or not of the contract.
    """
    try:
        file = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"file '{path}' is not JSON ({error}): run the benchmark again") from None
    if not isinstance(file, dict) or set(file) != KEYS:
        raise ValueError(
            f"file '{path}' is not a benchmark's result: its keys must be {', '.join(sorted(KEYS))}"
        )
    return file


def machine(file: File) -> str:
    """What a file was measured on."""
    hardware = file["hardware"]
    gpu = f", {hardware['gpu']}" if "gpu" in hardware else ""
    return (
        f"commit {file['commit'][:12]}, {hardware.get('processor')}, {hardware.get('cores')} cores, "
        f"{hardware.get('threads')} threads{gpu}, seed {file['seed']}"
    )


def slowness(name: str, median: float) -> float:
    """How many times worse than the peer: above 1 is worse, for rates as for times."""
    metric = name.partition(" : ")[2].split(" ")[0]
    if metric.endswith(LOWER_IS_BETTER) and not metric.endswith(RATES):
        return median
    return math.inf if median == 0 else 1 / median


def worst_table(files: Iterable[File], count: int = 3) -> str:
    """The ratios in which we look worst, across all files."""
    found = [
        (slowness(name, ratio["median"]), [file["benchmark"], name, value(ratio)])
        for file in files
        for name, ratio in file["ratios"].items()
    ]
    worst = sorted(found, key=lambda entry: -entry[0])[:count]
    header = ["benchmark", "ratio", "median (min to max)", "times worse"]
    return table(header, [[*ratio, f"{times:.3g}"] for times, ratio in worst])


def ratio_table(file: File) -> str:
    """Every ratio with its spread."""
    header = ["ours / peer : metric", "median (min to max)"]
    return table(header, [[name, value(ratio)] for name, ratio in file["ratios"].items()])


def row_tables(file: File, metrics: Collection[str] | None = None) -> str:
    """One table for each kind of rows; rows of a kind have the same first metric.

    Args:
        file: a result.
        metrics: show only these, and only the parameters that tell rows of one system apart; None is everything, and
            what all rows share is a line above their table.
    """
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for row in file["rows"]:
        kinds.setdefault(next(iter(row["metrics"])), []).append(row)
    return "\n\n".join(filter(None, (_row_table(rows, metrics) for rows in kinds.values())))


def value(found: float | Mapping[str, float]) -> str:
    """A number, or a median with its range."""
    if isinstance(found, Mapping):
        return f"{found['median']:.4g} ({found['min']:.4g} to {found['max']:.4g})"
    return f"{found:.4g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


def distinguishing(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The parameters in which rows of one system differ."""
    systems = {row["system"] for row in rows}
    return [
        name
        for name in _names(rows, "params")
        if len({(row["system"], str(row["params"].get(name))) for row in rows}) > len(systems)
    ]


def _row_table(rows: Sequence[Mapping[str, Any]], wanted: Collection[str] | None) -> str:
    names, shared = _names(rows, "metrics"), {}
    # The ends of an interval stand in the cell of its mean.
    metrics = [name for name in names if not any(f"{other}{end}" == name for other in names for end in ENDS)]
    if wanted is None:
        common = [name for name in _names(rows, "params") if all(name in row["params"] for row in rows)]
        shared = {
            name: rows[0]["params"][name]
            for name in common
            if all(row["params"][name] == rows[0]["params"][name] for row in rows)
        }
        params = [name for name in _names(rows, "params") if name not in shared]
    else:
        metrics, params = [name for name in metrics if name in wanted], distinguishing(rows)
    if not metrics:
        return ""
    cells = [
        [
            row["system"],
            *(str(row["params"].get(name, "")) for name in params),
            *(_cell(row["metrics"], name) for name in metrics),
        ]
        for row in rows
    ]
    above = ", ".join(f"{name} {each}" for name, each in shared.items())
    return f"{above}\n\n" * bool(above) + table(["system", *params, *metrics], cells)


def _names(rows: Iterable[Mapping[str, Any]], part: str) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row[part]))


def _cell(metrics: Mapping[str, Any], name: str) -> str:
    if name not in metrics:
        return ""
    low, high = (metrics.get(f"{name}{end}") for end in ENDS)
    return value(metrics[name]) if low is None else f"{value(metrics[name])} ({value(low)} to {value(high)})"
