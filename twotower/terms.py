"""What a caller asks for beside the queries, checked where it enters."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from twotower.errors import QueryError
from twotower.recall.segment import SECONDS_A_DAY, Labels
from twotower.types import Where


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all queries of a call.

    Args:
        k: hits a query, at least 1.
        now: the present, aware.
        where: a filter, or None.
        exclude: labels that must not be found.
        deadline: when the reranker is to be done, in seconds of `time.perf_counter`; None for no hurry.
        min_score: hits that score lower are left out; None leaves out none.

    Raises:
        QueryError: `k` is below 1.
    """

    k: int
    now: datetime
    where: Where | None = None
    exclude: Labels | None = None
    deadline: float | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise QueryError(f"k={self.k!r} must be a whole number of at least 1")

    @property
    def now_days(self) -> float:
        """The present, in days since 1970."""
        return days(self.now)


def days(moment: datetime) -> float:
    """Days since 1970."""
    return moment.timestamp() / SECONDS_A_DAY


def moment(now: datetime | None) -> datetime:
    """The present, unless a caller says which moment it is.

    Raises:
        QueryError: it has no time zone.
    """
    if now is None:
        return datetime.now(UTC)
    if now.tzinfo is None or now.utcoffset() is None:
        raise QueryError(f"now={now.isoformat()} has no time zone: pass an aware datetime")
    return now


def deadline(budget_ms: float | None) -> float | None:
    """When a call that starts now must be done, in seconds of `time.perf_counter`.

    Raises:
        QueryError: the budget is not above 0.
    """
    if budget_ms is None:
        return None
    if not budget_ms > 0:
        raise QueryError(f"budget_ms={budget_ms!r} must be a number of milliseconds above 0")
    return time.perf_counter() + budget_ms / 1000
