"""Equal work: the speeds of models are compared only if they give the same answers."""

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
TOLERANCE = 1e-4


class UnequalWorkError(RuntimeError):
    """A peer computed something other than we did, so its time says nothing about ours."""


def require_equal_scores(ours: Answers, peer: Answers, name: str) -> None:
    """Check that a peer gives the same scores in [0, 1] to the same pairs, each of shape (n,).

    An untrained head gives all pairs nearly one score, so the tolerance also shrinks with the spread of the scores.

    Raises:
        UnequalWorkError: a score differs by more than 1e-4 or 2 % of the scores' standard deviation.
    """
    tolerance = min(TOLERANCE, 0.02 * float(np.std(ours))) if len(ours) > 1 else TOLERANCE
    apart = float(np.abs(ours - peer).max()) if ours.shape == peer.shape else np.inf
    if not apart <= tolerance:  # NaN too
        raise UnequalWorkError(
            f"{name} gave scores up to {apart:.2g} from ours for the same pairs: it is not a fair peer"
        )


def cosines(ours: Answers, peer: Answers) -> Answers:
    """Cosine of each row of one with the same row of the other, shape (n,); rows of unit length, shape (n, dim)."""
    found: Answers = np.einsum("nd,nd->n", ours, peer)
    return found


def require_equal_vectors(ours: Answers, peer: Answers, name: str) -> None:
    """Check that a peer encodes the same inputs to the same vectors of unit length, each of shape (n, dim).

    Raises:
        UnequalWorkError: a cosine is 1e-4 or more below 1, or the peer's rows are not of unit length.
    """
    least = float(cosines(ours, peer).min()) if ours.shape == peer.shape else -1.0
    if not np.allclose(np.linalg.norm(peer, axis=1), 1, atol=TOLERANCE) or not least > 1 - TOLERANCE:
        raise UnequalWorkError(
            f"{name} gave a vector of cosine {least:.5f} to ours for the same input: it is not a fair peer"
        )


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
    """Time whole calls in turns, after checking that those that must be exact give the reference's answers.

    The result gets a row for each system, which says how far its answers are from the reference's, and the ratios of
    ours to every peer, with `label` as the name of the inputs.
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
