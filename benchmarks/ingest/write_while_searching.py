"""One thread writes while another searches; deleted items that a search still returns are counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Thread

from benchmarks.common.timing import Clock

AUDITED = 200  # deleted items that are searched for again after the last write


@dataclass(frozen=True, slots=True)
class Round:
    """Rows to upsert, then rows to delete; a row that was deleted is not upserted again."""

    upsert: Sequence[int]
    delete: Sequence[int]


@dataclass(slots=True)
class Mixed:
    """The outcome of writing and searching at the same time."""

    write_s: float = 0.0  # seconds that all writes took together
    written: int = 0  # upserts and deletes
    search_s: list[float] = field(default_factory=list)  # seconds of each concurrent search that did not fail
    failed_searches: int = 0  # searches that raised
    stale_hits: int = 0  # hits whose delete had been acknowledged before their search began


def write_while_searching(
    upsert: Callable[[Sequence[int]], object],
    delete: Callable[[Sequence[int]], object],
    search: Callable[[int], Sequence[int]],
    rounds: Sequence[Round],
    queries: Sequence[int],
    *,
    clock: Clock = time.perf_counter,
) -> Mixed:
    """Write in this thread while a second one searches without a pause; then search again for deleted items.

    Every other search looks for the item that was deleted last, by its own vector: it would come first if it were
    still there. Items and queries are rows of the table; the queries, at least one, are not items.
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
            if (seconds := search_one(row)) is not None:
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
            gone.update(dict.fromkeys(each.delete, clock()))
            latest[:] = each.delete[-1:]
            result.written += len(each.upsert) + len(each.delete)
        result.write_s = clock() - start
    finally:
        done.set()
        searcher.join()
    for row in list(gone)[-AUDITED:]:
        search_one(row)
    return result
