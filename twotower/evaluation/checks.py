"""Check runs, judgements and metrics before anything is searched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from twotower.checks import listed
from twotower.errors import JudgementError
from twotower.types import Query


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
