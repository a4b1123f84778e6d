"""The one format of all result files."""

from __future__ import annotations

import json
import re
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
Params: TypeAlias = Mapping[str, Parameter]
FOLDERS = re.compile(r"(?:^|(?<=:))(?:~|\.{0,2})/(?:[^/:]+/)*(?=[^/:])")  # before the last name of a path


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and range of repeated measurements; of a ratio of means, its 95 % interval."""

    median: float
    min: float
    max: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Spread:
        """The spread of at least one value."""
        return cls(float(np.median(values)), float(np.min(values)), float(np.max(values)), len(values))

    def __str__(self) -> str:
        return f"{self.median:.4g} ({self.min:.4g} to {self.max:.4g})"


Metrics: TypeAlias = Mapping[str, float | Spread]


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One system under its fixed name: what it ran with, and what was measured."""

    system: str
    params: Params
    metrics: Metrics


@dataclass(slots=True)
class Result:
    """The measurements of one run.

    A ratio is measured in this run; better than the peer is above 1 for a rate or a quality and below 1 for a time.
    """

    benchmark: str
    seed: int  # of everything random
    rows: list[ResultRow] = field(default_factory=list)  # one for each system and setting
    ratios: dict[str, Spread] = field(default_factory=dict)  # by "OURS / PEER : METRIC"
    headline: str = ""  # one sentence with the most important number

    def add(self, system: str, params: Params, metrics: Metrics) -> None:
        """Add a row."""
        self.rows.append(ResultRow(system, params, metrics))

    def to_json(self) -> dict[str, Any]:
        """The keys of the contract, with the current commit, versions and hardware."""
        rows = [
            asdict(row) | {"params": {key: portable(value) for key, value in row.params.items()}}
            for row in self.rows
        ]
        ratios = {
            name: {"median": each.median, "min": each.min, "max": each.max}
            for name, each in self.ratios.items()
        }
        return {
            "benchmark": self.benchmark, "commit": commit(), "versions": versions(), "hardware": hardware(),
            "seed": self.seed, "rows": rows, "ratios": ratios,
        }  # fmt: skip


def portable(value: Parameter) -> Parameter:
    """A parameter without the folders that lead to a file: result files are published."""
    return FOLDERS.sub("", value) if isinstance(value, str) else value


def write(result: Result, out: Path | None) -> Path:
    """Write a result as JSON, completely or not at all; without a path, under its name and the time in results/.

    Raises:
        ValueError: a metric or ratio is not finite, which JSON cannot hold.
    """
    from twotower.store.files import replace

    content = json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False, default=float)
    out = out or RESULTS / f"{result.benchmark}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    replace(out, f"{content}\n".encode())
    return out
