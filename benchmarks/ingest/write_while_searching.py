"""Threads that search side by side, and searches beside writes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Barrier, Event, Thread

from benchmarks.common.timing import Clock

AUDITED = 200  # deleted items that are searched for once more after the last write


@contextmanager
def openmp_threads(threads: int) -> Iterator[None]:
    """Let FAISS use so many OpenMP threads for a while, in the calling thread: its setting holds for that alone."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def answer_in_threads(
    call: Callable[[int], object], inputs: Sequence[int], pool: ThreadPoolExecutor, threads: int
) -> int:
    """Answer every input once, in so many threads that start together, with one OpenMP thread in each.

    Args:
        call: answers one input.
        inputs: dealt out to the threads in turns.
        pool: of at least so many workers, all idle.
        threads: number of threads.

    Returns:
        How many answers there were; an error in a thread is raised here.
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


@dataclass(frozen=True, slots=True)
class Round:
    """Rows to upsert, then rows to delete; a row that was deleted is not upserted again."""

    upsert: Sequence[int]
    delete: Sequence[int]


@dataclass(slots=True)
class Mixed:
    """What happened while one thread wrote and another searched.

    Args:
        write_s: seconds that all writes took together.
        written: upserts and deletes.
        search_s: seconds of each search meanwhile that did not fail.
        failed_searches: searches that raised.
        stale_hits: hits whose delete had been acknowledged before their search began.
    """

    write_s: float = 0.0
    written: int = 0
    search_s: list[float] = field(default_factory=list)
    failed_searches: int = 0
    stale_hits: int = 0


def write_while_searching(
    upsert: Callable[[Sequence[int]], object],
    delete: Callable[[Sequence[int]], object],
    search: Callable[[int], Sequence[int]],
    rounds: Sequence[Round],
    queries: Sequence[int],
    *,
    clock: Clock = time.perf_counter,
) -> Mixed:
    """Write in this thread while a second one searches without a pause; then look once more for what was deleted.

    Every other search asks for the item that was deleted last, by its own vector: it would come first if it were
    still there.

    Args:
        upsert: writes items, given their rows in the table; has acknowledged them when it returns.
        delete: the same for deletes.
        search: rows of the items nearest to a row of the table.
        rounds: in order.
        queries: rows of the table that are no items; at least one.
        clock: seconds since any moment.
    """
    result = Mixed()
    gone: dict[int, float] = {}  # when the delete of a row was acknowledged, the last one last
    latest: list[int] = []  # the row deleted last
    searching, done = Event(), Event()

    def search_one(row: int) -> float | None:
        start = clock()
        try:
            found = search(row)
        except Exception:
            result.failed_searches += 1
            return None
        seconds = clock() - start
        result.stale_hits += sum(found_row in gone and gone[found_row] <= start for found_row in found)
        return seconds

    def search_on() -> None:
        turn = 0
        while not done.is_set():
            row = latest[0] if turn % 2 and latest else queries[turn % len(queries)]
            seconds = search_one(row)
            if seconds is not None:
                result.search_s.append(seconds)
            turn += 1
            searching.set()

    searcher = Thread(target=search_on)
    searcher.start()
    searching.wait()
    try:
        start = clock()
        for each in rounds:
            upsert(each.upsert)
            delete(each.delete)
            acknowledged = clock()
            gone.update(dict.fromkeys(each.delete, acknowledged))
            latest[:] = each.delete[-1:]
            result.written += len(each.upsert) + len(each.delete)
        result.write_s = clock() - start
    finally:
        done.set()
        searcher.join()
    for row in list(gone)[-AUDITED:]:
        search_one(row)
    return result
