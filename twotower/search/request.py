"""The parameters of a search call besides its queries, validated before anything is encoded."""

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
    """The parameters that apply to every query of a call; `of` validates them.

    Args:
        k: hits per query, at least 1.
        now: the present, aware.
        where: a filter, or None.
        exclude: labels to leave out.
        deadline: when the reranker has to finish, in seconds of `time.perf_counter`; None for no deadline.
        min_score: hits with a lower score are left out; None keeps all.
    """

    k: int
    now: datetime
    where: Where | None = None
    exclude: Labels | None = None
    deadline: float | None = None
    min_score: float | None = None

    @classmethod
    def of(
        cls,
        k: int,
        *,
        where: Where | None,
        now: datetime | None,
        budget_ms: float | None = None,
        min_score: float | None = None,
        exclude: Labels | None = None,
    ) -> SearchRequest:
        """The request that a caller describes; `now` and `budget_ms` count from this moment.

        Raises:
            QueryError: `k` is below 1, `now` has no time zone, `budget_ms` is not above 0, or `min_score` is not a
                number.
        """
        if not is_positive_integer(k):
            raise QueryError(f"k must be a whole number of at least 1, got {k!r}")
        if min_score is not None:
            if not isinstance(min_score, int | float | np.floating):
                raise QueryError(f"min_score must be a number, got {min_score!r}")
            if min_score != min_score:
                raise QueryError("min_score must be a number, got NaN")
        deadline = None if budget_ms is None else _deadline_in(budget_ms)
        present = datetime.now(UTC) if now is None else _aware(now)
        return cls(k, present, where, exclude, deadline, min_score)


def is_positive_integer(value: object) -> bool:
    """Whether a value is a whole number of at least 1."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _aware(now: datetime) -> datetime:
    if not isinstance(now, datetime):
        raise QueryError(f"now must be an aware datetime, got {now!r}")
    if now.tzinfo is None or now.utcoffset() is None:
        raise QueryError(f"now must be an aware datetime, got {now.isoformat()} without a time zone")
    return now


def _deadline_in(budget_ms: float) -> float:
    """In seconds of `time.perf_counter`."""
    if not isinstance(budget_ms, int | float) or not budget_ms > 0:
        raise QueryError(f"budget_ms must be a number of milliseconds above 0, got {budget_ms!r}")
    return time.perf_counter() + budget_ms / 1000
