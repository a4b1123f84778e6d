"""The parameters of a search call besides its queries, validated before anything is encoded."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from reprlib import repr as shown

import numpy as np

from twotower.errors import QueryError
from twotower.recall.segment import Labels
from twotower.types import Where

MAX_OFFSET = 2**31  # more than any index has; a larger number would not fit into an array


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The parameters that apply to every query of a call; `of` validates them.

    Args:
        k: hits per query, at least 1.
        offset: how many of the best to leave out before them.
        now: the present, aware.
        where: a filter, or None.
        exclude: labels to leave out.
        deadline: when the reranker has to finish, in seconds of `time.perf_counter`; None for no deadline.
        min_score: hits with a lower score are left out; None keeps all.
    """

    k: int
    now: datetime
    offset: int = 0
    where: Where | None = None
    exclude: Labels | None = None
    deadline: float | None = None
    min_score: float | None = None

    @classmethod
    def of(
        cls,
        k: int,
        *,
        offset: int = 0,
        where: Where | None,
        now: datetime | None,
        budget_ms: float | None = None,
        min_score: float | None = None,
        exclude: Labels | None = None,
    ) -> SearchRequest:
        """The request that a caller describes; `now` and `budget_ms` count from this moment.

        Raises:
            QueryError: `k` is below 1, `offset` below 0, `now` has no time zone, `budget_ms` is not above 0, or
                `min_score` is not a number.
        """
        if not is_whole(k, at_least=1):
            raise QueryError(f"k must be a whole number of at least 1, got {shown(k)}")
        if not is_whole(offset, at_least=0):
            raise QueryError(f"offset must be a whole number of at least 0, got {shown(offset)}")
        offset = min(int(offset), MAX_OFFSET)
        if min_score is not None and not (is_number(min_score) and min_score == min_score):
            raise QueryError(f"min_score must be a number, got {shown(min_score)}")
        deadline = None if budget_ms is None else _deadline_in(budget_ms)
        present = datetime.now(UTC) if now is None else _aware(now)
        return cls(int(k), present, int(offset), where, exclude, deadline, min_score)

    @property
    def end(self) -> int:
        """How many hits of a query have to be ranked."""
        return self.offset + self.k


def is_whole(value: object, *, at_least: int) -> bool:
    """Whether a value is a whole number of at least that."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= at_least


def is_number(value: object) -> bool:
    """Whether a value is a real number and no boolean."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def _aware(now: datetime) -> datetime:
    if not isinstance(now, datetime):
        raise QueryError(f"now must be an aware datetime, got {shown(now)}")
    if now != now:
        raise QueryError("now must be an aware datetime, got NaT")
    if now.tzinfo is None or now.utcoffset() is None:
        raise QueryError(f"now must be an aware datetime, got {now.isoformat()} without a time zone")
    return now


def _deadline_in(budget_ms: float) -> float:
    """In seconds of `time.perf_counter`."""
    if not is_number(budget_ms) or not budget_ms > 0:
        raise QueryError(f"budget_ms must be a number of milliseconds above 0, got {shown(budget_ms)}")
    return time.perf_counter() + float(budget_ms) / 1000
