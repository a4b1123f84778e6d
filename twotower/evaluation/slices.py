"""Metrics for some of the queries or items: cold items, items without a photo, short queries, ..."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias, Unpack

from multimodal.checks import check_callable, check_number, check_text, check_whole, listed
from twotower.evaluation.checks import aware, check_qrels, check_queries, events_in, items_in, queries_in
from twotower.evaluation.metrics import DEFAULT_METRICS, Counting, Qrels, Run, evaluate_run
from twotower.types import Event, Item, Query

ItemLabel: TypeAlias = Callable[[Item], str]
QueryLabel: TypeAlias = Callable[[Query], str]


def evaluate_query_slices(
    run: Run,
    qrels: Qrels,
    queries: Mapping[str, str | Query],
    label: QueryLabel,
    metrics: Sequence[str] = DEFAULT_METRICS,
    **counting: Unpack[Counting],
) -> dict[str, dict[str, float]]:
    """Means of metrics over the queries of each label, with their number under "queries".

    Args:
        run: scores by query and document.
        qrels: grades by query and document.
        queries: by id, all that `qrels` names.
        label: the slice of a query, such as `query_length`.
        metrics: as in `evaluate_run`.
        counting: `relevant`, `gain` and `unjudged`, as in `evaluate_queries`.

    Returns:
        By label, sorted; a slice without any relevant document is left out.
    """
    check_qrels(qrels)
    check_queries(queries, qrels)
    queries = queries_in(queries)
    check_callable("label", label)
    labels = sorted({label(queries[query]) for query in qrels})
    slices = {
        name: {query: grades for query, grades in qrels.items() if label(queries[query]) == name}
        for name in labels
    }
    return _evaluate(run, slices, metrics, counting)


def evaluate_item_slices(
    run: Run,
    qrels: Qrels,
    items: Iterable[Item],
    label: ItemLabel,
    metrics: Sequence[str] = DEFAULT_METRICS,
    **counting: Unpack[Counting],
) -> dict[str, dict[str, float]]:
    """How well search finds the items of each label.

    Rankings stay whole: only items of the slice can be relevant, and a judged item of another slice counts as judged
    irrelevant, so an item that ranks below others is measured where it is. Compare systems on one slice, not slices
    with each other.

    Args:
        run: as in `evaluate_query_slices`, and so are the others.
        qrels: grades.
        items: all that `qrels` names; judged items that are missing here belong to no slice.
        label: the slice of an item, such as `has_image` or `cold(events)`.
        metrics: names.
        counting: `relevant`, `gain` and `unjudged`, as in `evaluate_queries`.

    Returns:
        By label, sorted; a slice without any relevant document is left out.
    """
    check_qrels(qrels)
    check_callable("label", label)
    labels = {item.id: label(item) for item in items_in(items)}
    slices = {
        name: {
            query: {id_: grade if labels.get(id_) == name else min(grade, 0) for id_, grade in grades.items()}
            for query, grades in qrels.items()
        }
        for name in sorted(set(labels.values()))
    }
    return _evaluate(run, slices, metrics, counting)


def attribute(name: str) -> ItemLabel:
    """Slices by the value of an attribute; "unknown" for items without it."""
    check_text("name", name)

    def label(item: Item) -> str:
        value = item.attributes.get(name)
        return "unknown" if value is None else str(value)

    return label


def has_image(item: Item) -> str:
    """The slices "with image" and "without image"."""
    return "without image" if item.image is None else "with image"


def has_text(item: Item) -> str:
    """The slices "with text" (a title or a description) and "without text"."""
    return "with text" if item.words else "without text"


def cold(events: Iterable[Event], *, fewer_than: int = 1) -> ItemLabel:
    """The slices "cold" (fewer than `fewer_than` events) and "warm"."""
    check_whole("fewer_than", fewer_than)
    counts = Counter(event.item for event in events_in(events))
    return lambda item: "cold" if counts[item.id] < fewer_than else "warm"


def age_band(now: datetime, days: Sequence[float] = (30, 90, 365)) -> ItemLabel:
    """Slices by days since an item's release: "0-30 days", ..., "over 365 days", "unknown" and "future".

    Args:
        now: aware.
        days: upper ends of the bands, inclusive, in rising order.
    """
    aware("now", now)
    for place, day in enumerate(listed("days", days)):
        check_number(f"days[{place}]", day, least=0)
    ends = [0, *days]
    names = [f"{low:g}-{high:g} days" for low, high in zip(ends, days, strict=False)]

    def label(item: Item) -> str:
        if item.time is None:
            return "unknown"
        age = (now - item.time).total_seconds() / 86_400
        if age < 0:
            return "future"
        return next(
            (name for name, end in zip(names, days, strict=True) if age <= end), f"over {ends[-1]:g} days"
        )

    return label


def query_length(query: Query) -> str:
    """Slices by length: "1 word", "2-3 words", "4 words or more"; two Chinese characters count as a word."""
    words = sum(-(-len(part) // 2) if has_han(part) else 1 for part in query.text.split())
    return "1 word" if words <= 1 else "2-3 words" if words <= 3 else "4 words or more"


def language(query: Query) -> str:
    """The slices "zh" (with a Chinese character), "other" and "no words"."""
    return "zh" if has_han(query.text) else "other" if query.text.strip() else "no words"


def has_han(text: str) -> bool:
    """Whether a text has a Chinese character."""
    return any("\u3400" <= character <= "\u9fff" for character in text)


def _evaluate(
    run: Run, slices: Mapping[str, Qrels], metrics: Sequence[str], counting: Counting
) -> dict[str, dict[str, float]]:
    relevant = check_number("relevant", counting.get("relevant", 1))
    found: dict[str, dict[str, float]] = {}
    for name, qrels in slices.items():
        count = sum(max(grades.values(), default=0) >= relevant for grades in qrels.values())
        if count:
            found[name] = {"queries": float(count)} | evaluate_run(run, qrels, metrics, **counting)
    return found
