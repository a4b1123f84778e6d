"""The card of a saved model: a README.md that people and the model hub read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version

FILE = "README.md"
PACKAGES = ("sentence-transformers", "transformers", "torch", "numpy")


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured number.

    Args:
        system: what was measured, such as "recall" or "reranker".
        name: such as "ndcg@10".
        value: the mean over queries.
        low: lower end of its interval.
        high: upper end.
    """

    system: str
    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model was made of, and how good it was found. It holds numbers and names, never rows of the data.

    Args:
        name: of the model.
        made_on: the day.
        dataset: what the data is called.
        data: what it holds, such as {"training pairs": 12000}.
        settings: of the training, such as {"loss": "pointwise"}.
        metrics: what was measured on judgements that were not trained on.
        measured_system: whose metrics are this model's own; they go where the hub looks for them.
        command: what makes such a model again; "" is left out.
        base_model: the name on the model hub of what it started from; None where that was a folder.
        versions: of packages, by name.
    """

    name: str
    made_on: date
    dataset: str
    data: Mapping[str, int | str]
    settings: Mapping[str, int | float | str | None]
    metrics: Sequence[Metric] = ()
    measured_system: str = "reranker"
    command: str = ""
    base_model: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The card as Markdown, with the front matter that the model hub reads."""
        return "\n".join(["---", self._front_matter(), "---", "", *self._lines(), ""])

    def _front_matter(self) -> str:
        from huggingface_hub import EvalResult, ModelCardData

        results = [
            EvalResult(
                task_type="text-ranking",
                dataset_type="beir",
                dataset_name=self.dataset,
                metric_type=metric.name,
                metric_value=round(metric.value, 4),
            )
            for metric in self.metrics
            if metric.system == self.measured_system
        ]
        return ModelCardData(
            library_name="sentence-transformers",
            pipeline_tag="text-ranking",
            base_model=self.base_model,
            tags=["cross-encoder", "reranker", "sentence-transformers"],
            model_name=self.name if results else None,
            eval_results=results or None,
        ).to_yaml()

    def _lines(self) -> Iterable[str]:
        yield f"# {self.name}"
        yield ""
        yield (
            "A cross-encoder that reads a query beside one item and says how relevant the item is. Made on "
            f"{self.made_on.isoformat()}."
        )
        yield from _block("Use", ["```python", *USE, "```"])
        yield from _block("Data", _table(("of", self.dataset), self.data))
        yield from _block("Training", _table(("setting", "value"), self.settings))
        if self.command:
            yield from _block("Again", ["```sh", self.command, "```"])
        yield from _block("Measured", self._measured())
        if self.versions:
            yield from _block("Versions", _table(("package", "version"), self.versions))

    def _measured(self) -> Iterable[str]:
        if not self.metrics:
            yield "Nothing: there were no judgements to measure on that were not trained on."
            return
        yield f"On judged items of {self.dataset} whose queries were not trained on; 95 % intervals over queries."
        yield ""
        yield "| system | metric | mean | interval |"
        yield "|---|---|---|---|"
        for each in self.metrics:
            yield f"| {each.system} | {each.name} | {each.value:.4f} | [{each.low:.4f}, {each.high:.4f}] |"


USE = (
    "from rerank import CrossEncoderReranker",
    "",
    'reranker = CrossEncoderReranker.load("this folder")',
    'reranker.score([("a query", "the text of an item")])  # in [0, 1]',
)


def installed_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of those of some distributions that are installed, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _block(heading: str, lines: Iterable[str]) -> Iterable[str]:
    yield from ("", f"## {heading}", "")
    yield from lines


def _table(head: tuple[str, str], rows: Mapping[str, object]) -> Iterable[str]:
    for cells in (head, ("---", "---"), *rows.items()):
        yield "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: object) -> str:
    """A value in one cell of a table, whatever it holds."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.replace("|", r"\|").split())
