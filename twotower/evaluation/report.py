"""What an evaluation found, as a table, as JSON and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from twotower.evaluation.metrics import Gain, Run
from twotower.evaluation.significance import Comparison, Interval


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a retriever, or a baseline.

    Args:
        name: such as "reranked".
        run: scores by query and item.
        means: of every metric, unjudged items counting as irrelevant.
        condensed: mean of the first metric with unjudged items taken out of the rankings.
        interval: of the first metric, 95 %, by bootstrap over the queries.
        milliseconds: p50_ms and p95_ms of a whole search; empty where nothing was timed.
        change: of the first metric against the stage before; None for the first stage and for baselines.
    """

    name: str
    run: Run
    means: Mapping[str, float]
    condensed: float
    interval: Interval
    milliseconds: Mapping[str, float]
    change: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A retriever, stage by stage.

    Args:
        stages: baselines first, then the stages in their order.
        queries: how many had a relevant item; the others are left out.
        relevant: the lowest grade that counted as relevant.
        gain: of nDCG.
    """

    stages: tuple[Stage, ...]
    queries: int
    relevant: int
    gain: Gain

    def __getitem__(self, name: str) -> Stage:
        """The stage of a name.

        Raises:
            KeyError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise KeyError(
            f"There is no stage {name!r}; there are {', '.join(each.name for each in self.stages)}."
        )

    def table(self) -> str:
        """A Markdown table, a row a stage, with a line above that says how it was counted."""
        primary, *others = self.stages[0].means
        header = [
            "stage", primary, "95 % interval", f"{primary} condensed", *others,
            "change", "95 % interval", "p (Holm)", "p50 ms", "p95 ms",
        ]  # fmt: skip
        lines = [
            f"{self.queries} queries with an item of grade {self.relevant} or more; {self.gain} gain; unjudged items "
            "are irrelevant, in the condensed column left out; change is to the stage above.",
            "",
            f"| {' | '.join(header)} |",
            f"|{' --- |' * len(header)}",
        ]
        lines += [f"| {' | '.join(_cells(stage, primary, others))} |" for stage in self.stages]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values: everything but the runs."""
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
        """Draw quality with its intervals beside milliseconds, a bar a stage.

        Args:
            path: of the picture; its ending, such as .png or .svg, says which format.
        """
        from matplotlib.figure import Figure  # without pyplot: no window, no global state

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


def _cells(stage: Stage, primary: str, others: list[str]) -> list[str]:
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
