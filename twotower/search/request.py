"""The parameters of a search call besides its queries, validated at construction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from twotower.errors import QueryError
from twotower.recall.segment import Labels
from twotower.types import Where


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The parameters that apply to every query of a call.

    Args:
        k: hits per query, at least 1.
        now: the present, aware.
        where: a filter, or None.
        exclude: labels to leave out.
        deadline: when the reranker has to finish, in seconds of `time.perf_counter`; None for no deadline.
        min_score: hits with a lower score are left out; None keeps all.

    Raises:
        QueryError: `k` is below 1, or `min_score` is no number.
    """

    k: int
    now: datetime
    where: Where | None = None
    exclude: Labels | None = None
    deadline: float | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if not is_positive_integer(self.k):
            raise QueryError(f"k must be a whole number of at least 1, got {self.k!r}")
        if self.min_score is not None and not isinstance(self.min_score, int | float | np.floating):
            raise QueryError(f"min_score must be a number, got {self.min_score!r}")
        if self.min_score is not None and self.min_score != self.min_score:
            raise QueryError("min_score must be a number, got NaN")


def is_positive_integer(value: object) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def present(now: datetime | None) -> datetime:
    """The moment to search at: `now`, or the current time.

    Raises:
        QueryError: it has no time zone.
    """
    if now is None:
        return datetime.now(UTC)
    if not isinstance(now, datetime):
        raise QueryError(f"now must be an aware datetime, got {now!r}")
    if now.tzinfo is None or now.utcoffset() is None:
        raise QueryError(f"now must be an aware datetime, got {now.isoformat()} without a time zone")
    return now


def deadline_in(budget_ms: float | None) -> float | None:
    """When a call that starts now has to finish, in seconds of `time.perf_counter`.

    Raises:
        QueryError: the budget is not above 0.
    """
    if budget_ms is None:
        return None
    if not isinstance(budget_ms, int | float) or not budget_ms > 0:
        raise QueryError(f"budget_ms must be a number of milliseconds above 0, got {budget_ms!r}")
    return time.perf_counter() + budget_ms / 1000
