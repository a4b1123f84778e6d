"""The parameters of a search call besides its queries, validated before anything is encoded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from twotower.recall.segment import Labels
from twotower.search.arguments import deadline_of, min_score_of, now_of, whole_of
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
        return cls(
            whole_of("k", k, at_least=1),
            now_of(now),
            min(whole_of("offset", offset, at_least=0), MAX_OFFSET),
            where,
            exclude,
            deadline_of(budget_ms),
            min_score_of(min_score),
        )

    @property
    def end(self) -> int:
        """How many hits of a query have to be ranked."""
        return self.offset + self.k
