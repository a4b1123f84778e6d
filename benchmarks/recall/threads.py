"""Threads that search at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from benchmarks.common.vectors import openmp_threads


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
        The number of answers; an error in a thread is raised here.
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
