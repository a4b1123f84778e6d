"""The result of an evaluation, as a table, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twotower.errors import needs_extra
from twotower.evaluation.metrics import Gain, Run
from twotower.evaluation.significance import Comparison, Interval


@dataclass(frozen=True, slots=True)
class StageResult:
    """How one stage of a retriever, or a baseline, did.

    Args:
        name: such as "reranked".
        run: scores by query and item.
        means: of every metric, unjudged items counting as irrelevant.
        condensed: mean of the first metric with unjudged items removed from the rankings.
        interval: of the first metric, 95 %, by bootstrap over the queries.
        milliseconds: p50_ms and p95_ms of a whole search; empty if nothing was timed.
        change: in the first metric from the stage before; None for the first stage and for baselines.
    """

    name: str
    run: Run
    means: Mapping[str, float]
    condensed: float
    interval: Interval
    milliseconds: Mapping[str, float]
    change: Comparison | None = None


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """How a retriever did, stage by stage.

    Args:
        stages: baselines first, then the stages in their order.
        queries: number of queries with a relevant item; the others are left out.
        relevant: the lowest grade that counted as relevant.
        gain: of nDCG.
    """

    stages: tuple[StageResult, ...]
    queries: int
    relevant: float
    gain: Gain

    def __getitem__(self, name: str) -> StageResult:
        """The stage with this name.

        Raises:
            KeyError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(
            f"no stage is named '{name}': the stages are {', '.join(each.name for each in self.stages)}"
        )

    def table(self) -> str:
        """A Markdown table with one row per stage, below a line that says how things were counted."""
        primary, *others = self.stages[0].means
        header = [
            "stage", primary, "95 % interval", f"{primary} condensed", *others,
            "change", "95 % interval", "p (Holm)", "p50 ms", "p95 ms",
        ]  # fmt: skip
        lines = [
            f"{self.queries} queries with an item of grade {self.relevant} or higher; {self.gain} gain; unjudged "
            "items count as irrelevant, and are removed for the condensed column; change is from the stage above.",
            "",
            f"| {' | '.join(header)} |",
            f"|{' --- |' * len(header)}",
        ]
        lines += [f"| {' | '.join(_cells(stage, primary, others))} |" for stage in self.stages]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything but the runs, as plain JSON values."""
        return {
            "queries": self.queries,
            "relevant": self.relevant,
            "gain": self.gain,
            "stages": [
                {
                    "name": stage.name,
                    "means": dict(stage.means),
                    "condensed": stage.condensed,
                    "interval": asdict(stage.interval),
                    "milliseconds": dict(stage.milliseconds),
                    "change": None if stage.change is None else asdict(stage.change),
                }
                for stage in self.stages
            ],
        }

    def plot(self, path: str | Path) -> None:
        """Draw quality with its intervals beside milliseconds, one bar per stage.

        Args:
            path: of the picture; its suffix, such as .png or .svg, chooses the format.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        with needs_extra("plot", "plotting"):
            from matplotlib.figure import Figure  # not pyplot, which would open windows and keep global state

        names = [stage.name for stage in self.stages]
        primary = next(iter(self.stages[0].means))
        figure = Figure(figsize=(9, 1.2 + 0.45 * len(names)), layout="constrained")
        quality, cost = figure.subplots(1, 2, sharey=True)
        means = [stage.means[primary] for stage in self.stages]
        below = [stage.means[primary] - stage.interval.low for stage in self.stages]
        above = [stage.interval.high - stage.means[primary] for stage in self.stages]
        quality.barh(names, means, xerr=(below, above), color="#4477aa", ecolor="#222222", capsize=3)
        quality.set_xlabel(f"{primary}, with 95 % interval")
        quality.invert_yaxis()
        cost.barh(names, [stage.milliseconds.get("p50_ms", 0.0) for stage in self.stages], color="#ccbb44")
        cost.set_xlabel("p50 of a search, ms")
        figure.suptitle(f"{self.queries} queries")
        figure.savefig(path)


def _cells(stage: StageResult, primary: str, others: list[str]) -> list[str]:
    change = ["", "", ""]
    if stage.change is not None:
        found = stage.change
        change = [f"{found.difference:+.4f}", f"{found.low:+.4f} to {found.high:+.4f}", f"{found.p_holm:.4f}"]
    times = [f"{stage.milliseconds[name]:.1f}" if stage.milliseconds else "" for name in ("p50_ms", "p95_ms")]
    return [
        stage.name,
        f"{stage.means[primary]:.4f}",
        f"{stage.interval.low:.4f} to {stage.interval.high:.4f}",
        f"{stage.condensed:.4f}",
        *(f"{stage.means[name]:.4f}" for name in others),
        *change,
        *times,
    ]
