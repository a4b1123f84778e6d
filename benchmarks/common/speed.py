"""Models that do the same work, and how much of it each does in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import timing
from benchmarks.common.contract import Params, Result
from benchmarks.common.timing import Clock

Answers: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class System:
    """A model to measure.

    Args:
        call: many inputs at once to float32 of shape (n,) or (n, dim).
        params: what it runs with.
        exact: whether it has to give the reference's answers.
        many: whether one call may take the inputs of several queries.
    """

    call: Callable[[list[Any]], Answers]
    params: Params = field(default_factory=dict)
    exact: bool = True
    many: bool = True


def measure_rate(
    result: Result,
    systems: Mapping[str, System],
    inputs: list[Any],
    metric: str,
    label: str,
    params: Params,
    *,
    reference: str,
    require_equal: Callable[[Answers, Answers, str], None],
    difference: Callable[[Answers, Answers], dict[str, float]],
    repetitions: int = timing.REPETITIONS,
    clock: Clock = time.perf_counter,
) -> None:
    """Time whole calls in turns, after a check that all give the same answers.

    Args:
        result: gets a row for each system, and the ratios of ours to every peer.
        systems: by name; ours start with "twotower".
        inputs: of one call.
        metric: such as "texts_per_s".
        label: names the inputs in a ratio.
        params: of every row.
        reference: the system that the others' answers are compared with.
        require_equal: raises UnequalWorkError if a system that has to be exact is not.
        difference: what a row says about how far its answers are from the reference's.
        repetitions: timed turns of each system.
        clock: a monotonic clock, in seconds.
    """
    answers = {name: system.call(inputs) for name, system in systems.items()}  # the warm-up too
    for name, system in systems.items():
        if system.exact:
            require_equal(answers[reference], answers[name], name)
    calls = {name: partial(system.call, inputs) for name, system in systems.items() if system.many}
    seconds = timing.interleaved(calls, repetitions=repetitions, warm_up=0, clock=clock)
    for name, each in seconds.items():
        apart = {} if name == reference else difference(answers[reference], answers[name])
        metrics = {metric: timing.rate(each, len(inputs)), **apart}
        result.add(name, {**systems[name].params, **params}, metrics)
    result.ratios |= timing.ratios(f"{metric} {label}", seconds)
