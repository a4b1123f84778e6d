"""The one file format of all benchmarks, and the sentence that each ends with."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.machine import commit, hardware, versions

RESULTS = Path(__file__).parents[1] / "results"
Parameter: TypeAlias = "str | int | float | bool | None"


@dataclass(frozen=True, slots=True)
class Spread:
    """What repetitions of one measurement gave."""

    median: float
    min: float
    max: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Spread:
        """The spread of at least one value."""
        return cls(float(np.median(values)), float(np.min(values)), float(np.max(values)), len(values))


@dataclass(frozen=True, slots=True)
class Row:
    """One system.

    Args:
        system: its fixed name, such as "bm25".
        params: what it ran with.
        metrics: a number, or the spread of its repetitions, by the metric's fixed name, such as "ndcg@10".
    """

    system: str
    params: Mapping[str, Parameter]
    metrics: Mapping[str, float | Spread]


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of a benchmark measured.

    Args:
        benchmark: its name.
        seed: of everything random.
        rows: one for each system (and setting).
        ratios: by "OURS / PEER : METRIC", from repetitions of the same run; above 1 is better for a rate,
            below 1 for a time.
        headline: one sentence with the ratio that matters most.
    """

    benchmark: str
    seed: int
    rows: Sequence[Row]
    headline: str
    ratios: Mapping[str, Spread] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The contract's keys, with commit, versions and hardware of now."""
        return {
            "benchmark": self.benchmark,
            "commit": commit(),
            "versions": versions(),
            "hardware": hardware(),
            "seed": self.seed,
            "rows": [
                {
                    "system": row.system,
                    "params": dict(row.params),
                    "metrics": {name: _plain(value) for name, value in row.metrics.items()},
                }
                for row in self.rows
            ],
            "ratios": {
                name: {"median": ratio.median, "min": ratio.min, "max": ratio.max}
                for name, ratio in self.ratios.items()
            },
        }


def write(result: Result, out: Path | None) -> Path:
    """Write a result as JSON, whole or not at all.

    Args:
        result: what was measured.
        out: the file; None is results/NAME-<utc>.json in this folder.

    Returns:
        The file.

    Raises:
        ValueError: a metric or ratio is not finite, which JSON cannot hold and nobody can read.
    """
    content = result.to_json()
    if out is None:
        out = RESULTS / f"{result.benchmark}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(out)
    return out


def _plain(value: float | Spread) -> float | dict[str, float]:
    if isinstance(value, Spread):
        return asdict(value)
    if not math.isfinite(value):
        raise ValueError(f"A metric is {value}; leave out what could not be measured.")
    return float(value)
