"""What `recall` compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from benchmarks.common.contract import Parameter

Share: TypeAlias = float
ALL: Share = 1.0  # the selectivity of no filter


@dataclass(frozen=True, slots=True)
class VectorSearch:
    """One way to search; an answer stays in the system's own form while time is taken.

    Args:
        name: its fixed name.
        params: its index.
        searches: by selectivity of the filter (`ALL` is none), a function that answers the query of a number.
        rows: the row numbers in an answer, best first, one list for each query.
        batch: answers a range of queries in one call; None if it is not compared.
    """

    name: str
    params: Mapping[str, Parameter]
    searches: Mapping[Share, Callable[[int], Any]]
    rows: Callable[[Any], Sequence[Sequence[int]]]
    batch: Callable[[slice], Any] | None = None


def faiss_rows(answer: Any) -> list[list[int]]:
    """The rows in FAISS's pair of scores and rows."""
    return answer[1].tolist()
