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
    """A model to measure."""

    call: Callable[[list[Any]], Answers]  # many inputs at once to float32 of shape (n,) or (n, dim)
    params: Params = field(default_factory=dict)  # what it runs with
    exact: bool = True  # whether it has to give the reference's answers
    many: bool = True  # whether one call may take the inputs of several queries


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
    """Time whole calls in turns, after a check that those that have to be exact give the reference's answers.

    The result gets a row for each system, which says how far its answers are from the reference's, and the ratios of
    ours to every peer, in which `label` names the inputs.
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
