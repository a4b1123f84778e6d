"""Fair timing: systems take turns within each repetition, so that a drifting machine affects all of them alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import trange

from benchmarks.common.contract import Spread

Input = TypeVar("Input")
Given = ParamSpec("Given")
Found = TypeVar("Found")
Clock: TypeAlias = Callable[[], float]
Seconds: TypeAlias = NDArray[np.float64]
REPETITIONS, QUICK_REPETITIONS = 5, 2
OURS = "twotower"  # the names of our systems start with this
SENTENCE_TRANSFORMERS = "sentence-transformers"


def repetitions_of(options: Any) -> int:
    """How often everything is timed."""
    return QUICK_REPETITIONS if options.quick else REPETITIONS


def interleaved(
    systems: Mapping[str, Callable[[], object]],
    *,
    repetitions: int = REPETITIONS,
    warm_up: int = 1,
    clock: Clock = time.perf_counter,
) -> dict[str, Seconds]:
    """Time whole calls in turns: A B C, B C A, C A B, ...; warm-up calls of each come first and are not counted.

    The seconds have shape (repetitions,).
    """
    for _ in range(warm_up):
        for call in systems.values():
            call()
    seconds = {name: np.empty(repetitions) for name in systems}
    for repetition in _progress(repetitions):
        for name in rotated(list(systems), repetition):
            start = clock()
            systems[name]()
            seconds[name][repetition] = clock() - start
    return seconds


def interleaved_calls(
    systems: Mapping[str, Callable[[Input], object]],
    inputs: Sequence[Input],
    *,
    repetitions: int = REPETITIONS,
    warm_up: int = 5,
    clock: Clock = time.perf_counter,
) -> dict[str, Seconds]:
    """Time every call on every input; for each input the systems run in another random order.

    If the order were only rotated, a system would nearly always follow the same other one, and find the memory that
    both read in the caches. The first inputs are for warm-up and not counted. The seconds have shape (repetitions,
    inputs).
    """
    for given in inputs[:warm_up]:
        for call in systems.values():
            call(given)
    seconds = {name: np.empty((repetitions, len(inputs))) for name in systems}
    order, shuffle = list(systems), random.Random(0).shuffle
    for repetition in _progress(repetitions):
        for place, given in enumerate(inputs):
            shuffle(order)
            for name in order:
                start = clock()
                systems[name](given)
                seconds[name][repetition, place] = clock() - start
    return seconds


def rotated(names: list[Input], turn: int) -> list[Input]:
    """The names in their order, beginning with another one each turn."""
    start = turn % len(names)
    return names[start:] + names[:start]


def rate(seconds: Seconds, count: int) -> Spread:
    """Things per second, from the seconds of each repetition that handled `count` of them."""
    return Spread.of(count / np.asarray(seconds))


def percentiles(seconds: Sequence[Sequence[float]] | Seconds) -> dict[str, Spread]:
    """p50_ms, p95_ms and p99_ms of the calls of each repetition: their spread over the repetitions."""
    return {
        f"p{percent}_ms": Spread.of([1000 * np.percentile(calls, percent) for calls in seconds])
        for percent in (50, 95, 99)
    }


def time_ratio(ours: Seconds, peer: Seconds, percent: float = 50) -> Spread:
    """Our time over the peer's, repetition by repetition; below 1 is faster.

    Both have shape (repetitions,), or (repetitions, calls) to compare a percentile of the calls.
    """
    if ours.ndim == 2:
        ours, peer = (np.percentile(seconds, percent, axis=1) for seconds in (ours, peer))
    return Spread.of(ours / peer)


def rate_ratio(ours: Seconds, peer: Seconds) -> Spread:
    """Our rate over the peer's for the same work, repetition by repetition; above 1 is faster."""
    return Spread.of(peer / ours)


def ratios(
    measure: str, seconds: Mapping[str, Seconds], compare: Callable[..., Spread] = rate_ratio, **how: float
) -> dict[str, Spread]:
    """Each of our systems compared with every peer, by "OURS / PEER : MEASURE"."""
    ours = [name for name in seconds if name.startswith(OURS)]
    return {
        f"{own} / {peer} : {measure}": compare(seconds[own], seconds[peer], **how)
        for own in ours
        for peer in seconds
        if peer not in ours
    }


def synchronised(call: Callable[Given, Found], device: str) -> Callable[Given, Found]:
    """The call, which on a GPU returns only when the GPU is done, so that the clock is read after the work."""
    if not device.startswith("cuda"):
        return call

    def done(*given: Any, **named: Any) -> Found:
        import torch

        found = call(*given, **named)
        torch.cuda.synchronize(device)
        return found

    return done


def _progress(repetitions: int) -> trange:
    return trange(repetitions, desc="timing", unit="repetition", disable=None, leave=False)
