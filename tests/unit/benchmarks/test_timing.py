"""Fair timing, on a machine whose speed the test decides."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.common.contract import Spread
from benchmarks.common.timing import (
    interleaved,
    interleaved_calls,
    percentiles,
    rate,
    rate_ratio,
    ratios,
    time_ratio,
)

ROOT = Path(__file__).parents[3]


class Machine:
    """A clock that work pushes on; the machine gets slower with every call it has served."""

    def __init__(self, drift: float = 0.0) -> None:
        self.now = 0.0
        self.calls: list[str] = []
        self.drift = drift

    def clock(self) -> float:
        return self.now

    def work(self, name: str, seconds: float):
        def call(*_):
            self.now += seconds * (1 + self.drift * len(self.calls))
            self.calls.append(name)

        return call


def test_no_benchmark_loads_a_library_before_its_threads_are_pinned():
    """OpenMP reads the number of threads for threads made later when it is loaded."""
    code = (
        "import sys; from benchmarks.__main__ import BENCHMARKS, read_options; "
        "[read_options(name) for name in BENCHMARKS]; print(sorted({'torch', 'faiss'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_systems_take_turns_and_the_first_place_moves_on():
    machine = Machine()
    systems = {name: machine.work(name, 1.0) for name in "abc"}
    interleaved(systems, repetitions=3, warm_up=1, clock=machine.clock)
    assert "".join(machine.calls) == "abc" + "abc" + "bca" + "cab"
    machine.calls.clear()
    interleaved_calls(systems, ["x", "y"], repetitions=2, warm_up=1, clock=machine.clock)
    assert len(machine.calls) == 15
    assert all(set(machine.calls[start : start + 3]) == set("abc") for start in range(0, 15, 3))


def test_nobody_profits_from_the_one_before():
    """Two equal systems read the same memory: whoever comes second on an input finds it in the caches."""

    def ratio(measure) -> float:
        machine = Machine()

        def read(system):
            def call(given):
                machine.now += 1.0 if given in machine.calls[-2:] else 2.0
                machine.calls.append(given)

            return call

        systems = {"other": machine.work("other", 5.0), "ours": read("ours"), "peer": read("peer")}
        seconds = measure(systems, range(400), machine.clock)
        return float(seconds["ours"].mean() / seconds["peer"].mean())

    def rotated(systems, inputs, clock):
        """What must not be done: the order is the same but for where it begins."""
        seconds = {name: np.empty(len(inputs)) for name in systems}
        for place, given in enumerate(inputs):
            names = list(systems)[place % 3 :] + list(systems)[: place % 3]
            for name in names:
                start = clock()
                systems[name](given)
                seconds[name][place] = clock() - start
        return seconds

    assert ratio(rotated) > 1.1  # the planted fault
    assert ratio(
        lambda systems, inputs, clock: interleaved_calls(systems, inputs, clock=clock)
    ) == pytest.approx(1, abs=0.05)


def test_warm_up_is_not_counted():
    machine = Machine()
    cold = iter([100.0, 1.0, 1.0, 1.0])

    def call() -> None:
        machine.now += next(cold)

    assert interleaved({"a": call}, repetitions=3, clock=machine.clock)["a"].tolist() == [1, 1, 1]


def one_after_the_other(systems, *, repetitions, clock):
    """What must not be done: each system has the machine for itself, at another speed."""
    seconds = {}
    for name, call in systems.items():
        seconds[name] = np.empty(repetitions)
        for repetition in range(repetitions):
            start = clock()
            call()
            seconds[name][repetition] = clock() - start
    return seconds


def test_a_drifting_machine_drifts_for_all():
    """Equal systems are equal although every call is 5 % slower than the first one before it."""

    def ratio(measure) -> float:
        machine = Machine(drift=0.05)
        systems = {"ours": machine.work("ours", 1.0), "peer": machine.work("peer", 1.0)}
        seconds = measure(systems, repetitions=6, clock=machine.clock)
        return time_ratio(seconds["ours"], seconds["peer"]).median

    assert ratio(interleaved) == pytest.approx(1, abs=0.04)
    assert ratio(one_after_the_other) < 0.9  # the planted fault: it flatters whoever comes first


def test_rates_and_ratios_by_hand():
    ours, peer = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 2.0])
    assert rate(ours, 8) == Spread(4, 2, 8, 3)
    assert time_ratio(ours, peer) == Spread(1, 0.5, 2, 3)  # a time: below 1 is better
    assert rate_ratio(ours, peer) == Spread(1, 0.5, 2, 3)
    assert rate_ratio(ours / 2, peer).median == 2  # a rate: above 1 is better


def test_percentiles_are_of_the_calls_of_each_repetition():
    calls = np.array([[0.001, 0.002, 0.003], [0.002, 0.004, 0.006]])
    assert percentiles(calls)["p50_ms"] == Spread(3, 2, 4, 2)
    assert percentiles(calls)["p99_ms"].max == pytest.approx(5.96)
    assert time_ratio(calls, 2 * calls).median == 0.5
    assert time_ratio(calls, calls[::-1], 95) == Spread(1.25, 0.5, 2, 2)


def test_each_of_ours_is_compared_with_every_peer():
    seconds = {
        name: np.array([number + 1.0]) for number, name in enumerate(("twotower", "faiss", "twotower-index"))
    }
    found = {name: ratio.median for name, ratio in ratios("p50_ms", seconds, time_ratio).items()}
    assert found == {"twotower / faiss : p50_ms": 0.5, "twotower-index / faiss : p50_ms": 1.5}
