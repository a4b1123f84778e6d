"""Check runs, judgements and metrics before anything is searched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from numbers import Integral, Real
from operator import attrgetter
from reprlib import repr as shown
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_is, check_number, check_whole, listed, numbers_of
from twotower.errors import JudgementError
from twotower.types import Event, Item, Query


def check_qrels(qrels: Any) -> None:
    """Check that judgements are finite grades by the ids of query and document, which are text.

    Raises:
        JudgementError: they are not; the message names the first fault.
    """
    _check(qrels, "qrels", "grade")


def check_queries(queries: Any, qrels: Mapping[str, Any]) -> None:
    """Check that queries are words or `Query` by id, and that no judged query is missing.

    Raises:
        JudgementError: they are not, or a judged one is missing.
    """
    if not isinstance(queries, Mapping):
        raise JudgementError(f"queries must map ids to queries, got {queries!r:.80}")
    for query in qrels:
        if query not in queries:
            raise JudgementError(f"query '{query:.80}' is judged but not among the queries: add it")
        if not isinstance(queries[query], str | Query):
            raise JudgementError(f"query '{query:.80}' must be text or a Query, got {queries[query]!r:.80}")


def check_run(run: Any) -> None:
    """Check that a run is numbers other than NaN by the ids of query and document, which are text.

    Raises:
        JudgementError: it is not; the message names the first fault.
    """
    _check(run, "run", "score")


def metrics_within(k: int, metrics: Sequence[str] | None, default: Sequence[str]) -> tuple[str, ...]:
    """The metrics of rankings of length k, so that none claims a depth that was not searched.

    Args:
        k: at least 1.
        metrics: names; None takes the default ones, as deep as k allows.
        default: names with a depth.

    Raises:
        ValueError: k is below 1, or `metrics` is not a list of names, is empty, or goes deeper than k.
    """
    if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k!r:.80}")
    if metrics is None:
        parts = [name.partition("@") for name in default]
        return tuple(dict.fromkeys(f"{kind}@{min(int(depth), k)}" for kind, _, depth in parts))
    metrics = metric_names(metrics)
    if not metrics:
        raise ValueError("metrics must name at least one, such as 'ndcg@10'")
    for name in metrics:
        depth = name.partition("@")[2]
        if depth.isdecimal() and int(depth) > k:
            raise ValueError(
                f"{name} needs k of at least {depth}, got {k}: pass a larger k, or a metric of a smaller depth"
            )
    return tuple(metrics)


def metric_names(metrics: Any) -> list[str]:
    """The names of metrics as a list.

    Raises:
        ValueError: they are not a list of text.
    """
    names = [] if isinstance(metrics, str) else listed("metrics", metrics)
    if isinstance(metrics, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"metrics must be a list of names, such as ['ndcg@10'], got {metrics!r:.80}")
    return names


def queries_in(queries: Any) -> dict[str, Query]:
    """Queries by id.

    Raises:
        JudgementError: they are something else.
    """
    check_queries(queries, queries if isinstance(queries, Mapping) else {})
    return {id_: Query(query) if isinstance(query, str) else query for id_, query in queries.items()}


def items_in(items: Any) -> list[Item]:
    """Items as a list.

    Raises:
        ValueError: they are something else.
    """
    found = listed("items", items)
    for place, item in enumerate(found):
        check_is(f"items[{place}]", item, Item, "an Item")
    return found


def events_in(events: Any) -> list[Event]:
    """Events in order of time, those at the same time as given.

    Raises:
        ValueError: something else is among them, or the time of one has no time zone.
    """
    found = listed("events", events)
    for place, event in enumerate(found):
        check_is(f"events[{place}]", event, Event, "an Event")
        aware(f"the time of events[{place}]", event.time)
    return sorted(found, key=attrgetter("time"))


def aware(name: str, moment: Any) -> datetime:
    """A moment with a time zone.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise ValueError(f"{name} must be a datetime with a time zone, got {shown(moment)}")
    return moment


def check_resampling(confidence: Any, resamples: Any, seed: Any) -> None:
    """Check how an interval is computed.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0 < check_number("confidence", confidence) < 1:
        raise ValueError(f"confidence must be above 0 and below 1, got {shown(confidence)}")
    check_whole("resamples", resamples, least=1)
    check_whole("seed", seed, least=0)


def values_in(name: str, values: Any) -> NDArray[np.float64]:
    """Values of at least one query, shape (queries,).

    Raises:
        ValueError: they are not finite numbers.
    """
    found = numbers_of(name, values)
    if not len(found) or not np.isfinite(found).all():
        raise ValueError(f"{name} must be one finite number or more, got {shown(values)}")
    return found


def _check(values: Any, name: str, number: str) -> None:
    if not isinstance(values, Mapping):
        raise JudgementError(f"{name} must map queries to the {number}s of documents, got {values!r:.80}")
    for query, found in values.items():
        _check_id(query, "query")
        if not isinstance(found, Mapping):
            raise JudgementError(
                f"{name} of query '{query:.80}' must map documents to {number}s, got {found!r:.80}"
            )
        for document, value in found.items():
            _check_id(document, "document")
            sound = isinstance(value, Real) and (
                not math.isnan(value) if number == "score" else math.isfinite(value)
            )
            if not sound:
                which = f"document '{document:.80}' for query '{query:.80}'"
                raise JudgementError(f"the {number} of {which} must be a number, got {value!r:.80}")


def _check_id(value: Any, kind: str) -> None:
    if not isinstance(value, str):
        raise JudgementError(f"the id of a {kind} must be text, got {value!r:.80}: pass '{value!s:.80}'")
