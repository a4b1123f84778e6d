"""Vector search: what the retriever costs over raw FAISS with the same index, beside hnswlib and usearch.

No text is encoded: queries and items look their vectors up. Recall@10 against the exact inner product stands beside
every time. Filters have nothing to do with the vectors; the first filtered search builds the attribute's column, and
its time stands in our row "build". Searches of one query use one thread: FAISS's scans would otherwise wake all
threads for one query, ours and the peer's alike, and wait for each other on a busy machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import timing
from benchmarks.common.contract import Parameter, Result, Row, Spread
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.table import print_ratios, print_rows, told
from benchmarks.common.timing import Clock, Seconds
from benchmarks.common.vectors import (
    DIM,
    SELECTIVITIES,
    Points,
    allowed_rows,
    buckets,
    clustered,
    exact,
    held_mb,
    recall_at_k,
)
from benchmarks.ingest.write_while_searching import answer_in_threads, openmp_threads
from benchmarks.recall import systems as peers
from benchmarks.recall.systems import ALL, K, Share, System
from twotower.recall.selection import Rows
from twotower.recall.vectors.policy import EXACT_UP_TO

BATCH = 256


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        queries: in batches and by two threads.
        single: of them one by one.
        filtered: of them one by one under each filter.
        exact_up_to: up to so many items the retriever's index is flat.
    """

    queries: int
    single: int
    filtered: int
    exact_up_to: int = EXACT_UP_TO


FULL = Effort(queries=1024, single=500, filtered=30)
QUICK = Effort(queries=128, single=40, filtered=5, exact_up_to=3_000)  # a graph of 20,000 takes too long


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows and ratios of a part of the benchmark."""

    rows: list[Row]
    ratios: dict[str, Spread]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the sizes."""
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="numbers of vectors (default: 100000 1000000; quick: 2000 5000)"
    )


def run(options: argparse.Namespace) -> Result:
    """Measure every size, the smallest first."""
    effort = QUICK if options.quick else FULL
    sizes = options.sizes or ([2_000, 5_000] if options.quick else [100_000, 1_000_000])
    rows: list[Row] = []
    ratios: dict[str, Spread] = {}
    for size in sorted(set(sizes)):
        for measured in measure_size(size, effort, seed=options.seed, threads=options.threads):
            rows += measured.rows
            ratios |= measured.ratios
    print_rows(rows, ("n", "mode"))
    print_ratios(ratios)
    return Result("recall", options.seed, rows, _headline(max(sizes), rows, ratios), ratios)


def measure_size(size: int, effort: Effort, *, seed: int, threads: int) -> list[Measured]:
    """Build every system over the same vectors, then let them take turns at every kind of search."""
    points = clustered(size, effort.queries, seed=seed)
    bucket = buckets(size, seed)
    systems, built = _build(points, bucket, effort, seed=seed, threads=threads)
    truth = exact(points.items, points.queries, K)
    measured = [
        built,
        measure_single(systems, truth[: effort.single], size, ALL),
        measure_batch(systems, truth, size, threads),
        measure_two_threads(systems, truth, size),
    ]
    for share in SELECTIVITIES:
        filtered = exact(points.items, points.queries[: effort.filtered], K, allowed_rows(bucket, share))
        measured.append(measure_single(systems, filtered, size, share))
    return measured


def measure_single(
    systems: Sequence[System], truth: Rows, size: int, share: Share, *, clock: Clock = time.perf_counter
) -> Measured:
    """One query a call, under a filter that lets `share` of the items through.

    Args:
        systems: those that have such a search take part.
        truth: shape (queries, k), the right answers to the first queries under that filter.
        size: number of items.
        share: in (0, 1]; `ALL` is no filter.
        clock: seconds since any moment.
    """
    able = {system.name: system for system in systems if share in system.searches}
    calls = {name: system.searches[share] for name, system in able.items()}
    with openmp_threads(1):
        seconds = timing.interleaved_calls(calls, range(len(truth)), clock=clock)
    metrics = {
        name: {**timing.percentiles(seconds[name]), f"recall@{K}": _recall(able[name], call, truth)}
        for name, call in calls.items()
    }
    mode = "single" if share == ALL else f"filtered {100 * share:g}%"
    # A filter is measured with few queries, whose 99th percentile is their maximum.
    ratios = {
        name: ratio
        for percent in ((50, 99) if share == ALL else (50,))
        for name, ratio in _ratios(
            f"p{percent}_ms n={size} {mode}", seconds, partial(timing.time_ratio, percent=percent)
        ).items()
    }
    return Measured(_rows(able.values(), size, {"mode": mode, "threads": 1}, metrics), ratios)


def measure_batch(
    systems: Sequence[System], truth: Rows, size: int, threads: int, *, clock: Clock = time.perf_counter
) -> Measured:
    """Many queries a call; every library may use all threads."""
    able = {system.name: system for system in systems if system.batch is not None}
    parts = [slice(start, min(start + BATCH, len(truth))) for start in range(0, len(truth), BATCH)]

    def all_parts(system: System) -> list[Any]:
        return [system.batch(part) for part in parts]  # type: ignore[misc]  # able ones have it

    seconds = timing.interleaved(
        {name: partial(all_parts, system) for name, system in able.items()}, clock=clock
    )
    metrics = {
        name: {
            "queries_per_s": timing.rate(seconds[name], len(truth)),
            f"recall@{K}": recall_at_k(
                [row for answer in all_parts(system) for row in system.rows(answer)], truth
            ),
        }
        for name, system in able.items()
    }
    params = {"mode": "batch", "batch": BATCH, "threads": threads}
    ratios = _ratios(f"queries_per_s n={size} batch", seconds, timing.rate_ratio)
    return Measured(_rows(able.values(), size, params, metrics), ratios)


def measure_two_threads(
    systems: Sequence[System], truth: Rows, size: int, *, clock: Clock = time.perf_counter
) -> Measured:
    """Two Python threads that send single queries, and one that sends them all; one OpenMP thread in each."""
    able = {system.name: system for system in systems if ALL in system.searches}
    inputs = range(len(truth))
    with ThreadPoolExecutor(2) as pool:
        calls = {
            f"{name} in {count}": partial(answer_in_threads, system.searches[ALL], inputs, pool, count)
            for name, system in able.items()
            for count in (1, 2)
        }
        seconds = timing.interleaved(calls, clock=clock)
    two = {name: seconds[f"{name} in 2"] for name in able}
    metrics = {
        name: {
            "queries_per_s": timing.rate(two[name], len(truth)),
            "scaling": timing.rate_ratio(two[name], seconds[f"{name} in 1"]),
            f"recall@{K}": _recall(system, system.searches[ALL], truth),
        }
        for name, system in able.items()
    }
    ratios = _ratios(f"queries_per_s n={size} two threads", two, timing.rate_ratio)
    return Measured(_rows(able.values(), size, {"mode": "two threads", "threads": 2}, metrics), ratios)


def _build(
    points: Points, bucket: NDArray[np.int64], effort: Effort, *, seed: int, threads: int
) -> tuple[list[System], Measured]:
    """Every system; ours first, so that its peak of memory has no peer in it, then what shares its index."""
    params = {"mode": "build", "threads": threads, "exact_up_to": effort.exact_up_to}
    before = held_mb(), time.perf_counter()
    retriever = peers.build_retriever(points, bucket, effort.exact_up_to)
    metrics = _cost(*before)
    ours, index = peers.twotower(retriever, points), peers.index_of(retriever)
    metrics |= {"first_filter_ms": _first_filter_ms(ours)}
    systems = [ours, peers.index_alone(index, points, bucket), peers.raw_faiss(index, points, bucket)]
    systems.append(peers.faiss_array(points, bucket))
    systems += peers.faiss_walk(index, points, bucket, effort.filtered)
    rows = _rows([ours], points.size, params, {ours.name: metrics})
    del params["exact_up_to"]  # ours alone
    for build in (
        partial(peers.hnswlib_graph, points, bucket, threads=threads, seed=seed),
        partial(peers.usearch_graph, points, threads=threads),
    ):
        before = held_mb(), time.perf_counter()
        for system in build():  # none where the peer is not installed
            systems.append(system)
            rows += _rows([system], points.size, params, {system.name: _cost(*before)})
    return systems, Measured(rows, {})


def _cost(held: float, start: float) -> dict[str, float | Spread]:
    """What building took since memory and clock stood there; the vectors that all share are not in it."""
    return {
        "build_s": Spread.of([time.perf_counter() - start]),
        "held_mb": held_mb() - held,
        "peak_rss_mb": peak_rss_mb(),  # of the process, with all that came before
    }


def _first_filter_ms(system: System) -> Spread:
    """The first search that reads an attribute, which builds the attribute's column."""
    start = time.perf_counter()
    system.searches[SELECTIVITIES[0]](0)
    return Spread.of([1000 * (time.perf_counter() - start)])


def _recall(system: System, call: Callable[[int], Any], truth: Rows) -> float:
    """Recall of the calls that were timed, over the same inputs, after the clock has stopped."""
    return recall_at_k([system.rows(call(row))[0] for row in range(len(truth))], truth)


def _ratios(
    measure: str, seconds: Mapping[str, Seconds], ratio: Callable[[Seconds, Seconds], Spread]
) -> dict[str, Spread]:
    pairs = [("twotower", name) for name in seconds if not name.startswith("twotower")]
    pairs.append(("twotower-index", "faiss"))
    return {
        f"{ours} / {peer} : {measure}": ratio(seconds[ours], seconds[peer])
        for ours, peer in pairs
        if ours in seconds and peer in seconds
    }


def _rows(
    systems: Iterable[System],
    size: int,
    params: Mapping[str, Parameter],
    metrics: Mapping[str, Mapping[str, float | Spread]],
) -> list[Row]:
    shared = {"n": size, "dim": DIM, "k": K}
    return [
        Row(system.name, {**shared, **system.params, **params}, metrics[system.name]) for system in systems
    ]


def _headline(size: int, rows: Sequence[Row], ratios: Mapping[str, Spread]) -> str:
    single = {
        row.system: row.metrics for row in rows if row.params["n"] == size and row.params["mode"] == "single"
    }
    ours, raw = single["twotower"], single["faiss"]
    ratio = ratios[f"twotower / faiss : p50_ms n={size} single"]
    return (
        f"At {size:,} vectors and k={K} one search takes {told(ratio)} times raw FAISS's median time on the same "
        f"index ({ours['p50_ms'].median:.3f} ms against {raw['p50_ms'].median:.3f} ms, "
        f"recall@{K} {ours[f'recall@{K}']:.4f} against {raw[f'recall@{K}']:.4f})."
    )
