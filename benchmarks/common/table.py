"""What a benchmark prints for people: its rows and its ratios as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.common.contract import Row, Spread


def print_rows(rows: Sequence[Row], settings: Sequence[str]) -> None:
    """Print one line for each row: its system, its settings and the median (lowest to highest) of each metric.

    Args:
        rows: what was measured.
        settings: the parameters that tell rows of one system apart.
    """
    print(f"| system | {' | '.join(settings)} | median (lowest to highest) |")
    print("|---" * (len(settings) + 2) + "|")
    for row in rows:
        chosen = " | ".join(str(row.params.get(setting, "")) for setting in settings)
        metrics = ", ".join(f"{name} {told(value)}" for name, value in row.metrics.items())
        print(f"| {row.system} | {chosen} | {metrics} |")


def print_ratios(ratios: Mapping[str, Spread]) -> None:
    """Print every ratio with its spread."""
    print("\n| ratio | median (lowest to highest) |\n|---|---|")
    for name, ratio in ratios.items():
        print(f"| {name} | {told(ratio)} |")


def told(value: float | Spread) -> str:
    """A number, or a median with its spread."""
    if isinstance(value, Spread):
        return f"{value.median:.4g} ({value.min:.4g} to {value.max:.4g})"
    return f"{value:.5g}"
