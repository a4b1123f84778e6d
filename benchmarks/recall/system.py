"""What `recall` compares, and threads that search at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any, TypeAlias

from benchmarks.common.contract import Params
from benchmarks.common.vectors import SELECTIVITIES, openmp_threads

Share: TypeAlias = float
Search: TypeAlias = Callable[[int], Any]
ALL: Share = 1.0  # the selectivity of no filter


@dataclass(frozen=True, slots=True)
class VectorSearch:
    """One way to search; an answer stays in the system's own form while time is taken."""

    name: str
    params: Params  # of its index
    searches: Mapping[Share, Search]  # by selectivity of the filter, what answers the query of a number
    rows: Callable[[Any], Sequence[Sequence[int]]]  # in an answer, best first, one list for each query
    batch: Callable[[slice], Any] | None = None  # answers a range of queries in one call


def filtered(
    under: Callable[[Share], Search], shares: Sequence[Share] = SELECTIVITIES
) -> dict[Share, Search]:
    """A search for each filter."""
    return {share: under(share) for share in shares}


def faiss_rows(answer: Any) -> list[list[int]]:
    """The rows in FAISS's pair of scores and rows."""
    return answer[1].tolist()


def answer_in_threads(
    call: Callable[[int], object], inputs: Sequence[int], pool: ThreadPoolExecutor, threads: int
) -> int:
    """Answer every input once, in `threads` threads that start together, with one OpenMP thread in each.

    Inputs are dealt out in turns; the pool has at least as many idle workers. Returns the number of answers; an error
    in a thread is raised here.
    """
    ready = Barrier(threads)

    def answer(share: Sequence[int]) -> int:
        with openmp_threads(1):
            ready.wait()  # so that no worker takes two shares
            for given in share:
                call(given)
        return len(share)

    futures = [pool.submit(answer, inputs[place::threads]) for place in range(threads)]
    return sum(future.result() for future in futures)
