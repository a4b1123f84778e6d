"""Rows of a speed benchmark as a Markdown table for people."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.common.contract import Row, Spread


def print_speeds(rows: Sequence[Row], settings: Sequence[str]) -> None:
    """Print one line for each row: its system, its settings and the median (lowest to highest) of each metric.

    Args:
        rows: what was measured.
        settings: the parameters that tell rows of one system apart.
    """
    print(f"| system | {' | '.join(settings)} | median (lowest to highest) |")
    print("|---" * (len(settings) + 2) + "|")
    for row in rows:
        told = " | ".join(str(row.params.get(setting, "")) for setting in settings)
        metrics = ", ".join(f"{name} {_told(value)}" for name, value in row.metrics.items())
        print(f"| {row.system} | {told} | {metrics} |")


def _told(value: float | Spread) -> str:
    if isinstance(value, Spread):
        return f"{value.median:.4g} ({value.min:.4g} to {value.max:.4g})"
    return f"{value:.5g}"
