"""The card of a saved model: a README.md for people and for the model hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version

from rerank.checks import check_is, check_number, check_text, listed

FILE = "README.md"
PACKAGES = ("sentence-transformers", "transformers", "torch", "numpy")
TEMPLATE = """\
---
{{ card_data }}
---

# {{ name }}

A cross-encoder that reads a query together with one item and scores how relevant it is. Created on {{ made_on }}.

## Use

```python
from rerank import CrossEncoderReranker

reranker = CrossEncoderReranker.load("this folder")
reranker.score([("a query", "the text of an item")])  # in [0, 1]
```

## Data

{{ data }}

## Training

{{ settings }}
{% if command %}
## Reproduce

```sh
{{ command }}
```
{% endif %}
## Results

{% if results -%}
On judged items of {{ dataset }}, for queries that were not trained on; 95 % confidence intervals over queries.

{{ results }}
{%- else -%}
None: there were no judgements other than those trained on.
{%- endif %}
{% if versions %}
## Versions

{{ versions }}
{% endif %}"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One result.

    Args:
        system: what was measured, such as "recall" or "reranker".
        name: such as "ndcg@10".
        value: the mean over queries.
        low: lower end of its confidence interval.
        high: upper end.
    """

    system: str
    name: str
    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        for name in ("system", "name"):
            check_text(name, getattr(self, name))
        for name in ("value", "low", "high"):
            check_number(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model was trained on and how well it did. It holds numbers and names, never rows of the data.

    Args:
        name: of the model.
        made_on: the date.
        dataset: the name of the data.
        data: what it holds, such as {"training pairs": 12000}.
        settings: of the training, such as {"loss": "pointwise"}.
        metrics: results on judgements that were not trained on.
        measured_system: whose metrics are this model's own; the hub shows those.
        command: what creates such a model again; "" is left out.
        base_model: the hub name of the model it was trained from; None if that was a folder.
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

    def __post_init__(self) -> None:
        for name in ("name", "dataset", "measured_system", "command"):
            check_text(name, getattr(self, name))
        if self.base_model is not None:
            check_text("base_model", self.base_model)
        check_is("made_on", self.made_on, date, "a date")
        for name in ("data", "settings", "versions"):
            check_is(name, getattr(self, name), Mapping, "a mapping")
        for place, metric in enumerate(listed("metrics", self.metrics)):
            check_is(f"metrics[{place}]", metric, Metric, "a Metric")

    def __str__(self) -> str:
        """The card as Markdown, with the metadata that the model hub reads."""
        from huggingface_hub import EvalResult, ModelCardData
        from huggingface_hub import ModelCard as HubModelCard

        own = [
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
        card_data = ModelCardData(
            library_name="sentence-transformers",
            pipeline_tag="text-ranking",
            base_model=None if self.base_model is None else str(self.base_model),
            tags=["cross-encoder", "reranker", "sentence-transformers"],
            model_name=self.name if own else None,
            eval_results=own or None,
        )
        results = (
            (each.system, each.name, f"{each.value:.4f}", f"[{each.low:.4f}, {each.high:.4f}]")
            for each in self.metrics
        )
        card = HubModelCard.from_template(
            card_data,
            template_str=TEMPLATE,
            name=self.name,
            made_on=self.made_on.isoformat(),
            dataset=self.dataset,
            data=_table(("of", self.dataset), self.data.items()),
            settings=_table(("setting", "value"), self.settings.items()),
            command=self.command,
            results=_table(("system", "metric", "mean", "interval"), results) if self.metrics else "",
            versions=_table(("package", "version"), self.versions.items()) if self.versions else "",
        )
        return str(card)


def installed_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of those distributions that are installed, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(_cell(cell) for cell in cells) + " |" for cells in lines)


def _cell(value: object) -> str:
    """A value as one cell of a table, whatever characters it has."""
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return " ".join(text.replace("|", r"\|").split())
