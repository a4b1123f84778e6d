"""Vector search: what the retriever costs over raw FAISS with the same index, beside hnswlib and usearch.

No text is encoded: queries and items look their vectors up. Recall@10 against the exact inner product stands beside
every time. Filters are independent of the vectors; the first filtered search builds the attribute's column, and its
time is in our row "build". Searches of one query use one thread: FAISS's scans would otherwise wake all threads for
one query, ours and the peer's alike, and wait for each other on a busy machine.
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
from tqdm.auto import tqdm

from benchmarks.common import timing
from benchmarks.common.contract import Metrics, Parameter, Result, ResultRow, Spread
from benchmarks.common.machine import held_mb, peak_rss_mb
from benchmarks.common.timing import Clock, Seconds
from benchmarks.common.vectors import (
    DIM,
    SELECTIVITIES,
    K,
    Points,
    allowed_rows,
    buckets,
    clustered,
    exact,
    openmp_threads,
    recall_at_k,
)
from benchmarks.recall.ours import build_retriever, index_alone, index_of, whole_retriever
from benchmarks.recall.peers import hnswlib_graph, usearch_graph
from benchmarks.recall.raw_faiss import faiss_array, faiss_walk, raw_faiss
from benchmarks.recall.system import ALL, Share, VectorSearch
from benchmarks.recall.threads import answer_in_threads
from twotower.recall.selection import Rows
from twotower.recall.vectors.policy import EXACT_UP_TO

QUERIES_A_CALL = 256


@dataclass(frozen=True, slots=True)
class RunSize:
    """How much is measured.

    Args:
        queries: in batches and by two threads.
        single: of them one by one.
        filtered: of them one by one under each filter.
        exact_up_to: up to so many items the retriever's index is flat.
        peers: whether hnswlib and usearch build graphs too.
    """

    queries: int
    single: int
    filtered: int
    exact_up_to: int = EXACT_UP_TO
    peers: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sizes, and whether to leave out the slow half of building."""
    parser.add_argument(
        "--sizes", type=int, nargs="+", help="numbers of vectors (default: 100000 1000000; quick: 2000 5000)"
    )
    parser.add_argument(
        "--without-peers", action="store_true", help="raw FAISS alone: hnswlib and usearch build no graphs"
    )


def run(options: argparse.Namespace) -> Result:
    """Measure every size, the smallest first."""
    peers = not options.without_peers
    if options.quick:  # a graph of more rows takes too long
        effort = RunSize(queries=128, single=40, filtered=5, exact_up_to=3_000, peers=peers)
    else:
        effort = RunSize(queries=1024, single=500, filtered=30, peers=peers)
    sizes = options.sizes or ([2_000, 5_000] if options.quick else [100_000, 1_000_000])
    result = Result("recall", options.seed)
    for size in sorted(set(sizes)):
        measure_size(result, size, effort, threads=options.threads)
    result.headline = _headline(max(sizes), result)
    return result


def measure_size(result: Result, size: int, effort: RunSize, *, threads: int) -> None:
    """Build every system over the same vectors, then let them take turns at every kind of search."""
    points = clustered(size, effort.queries, seed=result.seed)
    bucket = buckets(size, result.seed)
    systems = build_systems(result, points, bucket, effort, threads=threads)
    truth = exact(points.items, points.queries, K)
    measure_single(result, systems, truth[: effort.single], size, ALL)
    measure_batch(result, systems, truth, size, threads)
    measure_two_threads(result, systems, truth, size)
    for share in SELECTIVITIES:
        filtered = exact(points.items, points.queries[: effort.filtered], K, allowed_rows(bucket, share))
        measure_single(result, systems, filtered, size, share)


def build_systems(
    result: Result, points: Points, bucket: NDArray[np.int64], effort: RunSize, *, threads: int
) -> list[VectorSearch]:
    """Every system; ours first, so that its peak of memory includes no peer, then what shares its index."""
    params = {"mode": "build", "threads": threads}
    bar = tqdm(desc=f"building, {points.size:,} vectors", unit="index", disable=None, leave=False)
    before = held_mb(), time.perf_counter()
    retriever = build_retriever(points, bucket, effort.exact_up_to)
    metrics = _cost(*before)
    bar.update()
    ours, index = whole_retriever(retriever, points), index_of(retriever)
    metrics["first_filter_ms"] = _first_filter_ms(ours)
    result.rows += _rows(
        [ours], points.size, {**params, "exact_up_to": effort.exact_up_to}, {ours.name: metrics}
    )
    systems = [ours, index_alone(index, points, bucket), raw_faiss(index, points, bucket)]
    systems.append(faiss_array(points, bucket))
    systems += faiss_walk(index, points, bucket, effort.filtered)
    if not effort.peers:
        return systems
    for build in (
        partial(hnswlib_graph, points, bucket, threads=threads, seed=result.seed),
        partial(usearch_graph, points, threads=threads),
    ):
        before = held_mb(), time.perf_counter()
        for system in build():  # none if the peer is not installed
            systems.append(system)
            result.rows += _rows([system], points.size, params, {system.name: _cost(*before)})
            bar.update()
    return systems


def measure_single(
    result: Result,
    systems: Sequence[VectorSearch],
    truth: Rows,
    size: int,
    share: Share,
    *,
    clock: Clock = time.perf_counter,
) -> None:
    """One query a call, under a filter that lets `share` of the items through.

    Args:
        result: gets the rows and ratios.
        systems: those that have such a search take part.
        truth: shape (queries, k), the right answers to the first queries under that filter.
        size: number of items.
        share: in (0, 1]; `ALL` is no filter.
        clock: a monotonic clock, in seconds.
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
    result.rows += _rows(able.values(), size, {"mode": mode, "threads": 1}, metrics)
    # A filter is measured with few queries, whose 99th percentile is their maximum.
    for percent in (50, 99) if share == ALL else (50,):
        compare = partial(timing.time_ratio, percent=percent)
        result.ratios |= _ratios(f"p{percent}_ms n={size} {mode}", seconds, compare)


def measure_batch(
    result: Result,
    systems: Sequence[VectorSearch],
    truth: Rows,
    size: int,
    threads: int,
    *,
    clock: Clock = time.perf_counter,
) -> None:
    """Many queries a call; every library may use all threads."""
    able = {system.name: system for system in systems if system.batch is not None}
    parts = [
        slice(start, min(start + QUERIES_A_CALL, len(truth)))
        for start in range(0, len(truth), QUERIES_A_CALL)
    ]

    def all_parts(system: VectorSearch) -> list[Any]:
        return [system.batch(part) for part in parts]  # type: ignore[misc]  # able ones have it

    calls = {name: partial(all_parts, system) for name, system in able.items()}
    with openmp_threads(threads):
        seconds = timing.interleaved(calls, clock=clock)
        found = {
            name: [row for answer in call() for row in able[name].rows(answer)]
            for name, call in calls.items()
        }
    metrics = {
        name: {
            "queries_per_s": timing.rate(seconds[name], len(truth)),
            f"recall@{K}": recall_at_k(rows, truth),
        }
        for name, rows in found.items()
    }
    params = {"mode": "batch", "batch": QUERIES_A_CALL, "threads": threads}
    result.rows += _rows(able.values(), size, params, metrics)
    result.ratios |= _ratios(f"queries_per_s n={size} batch", seconds, timing.rate_ratio)


def measure_two_threads(
    result: Result,
    systems: Sequence[VectorSearch],
    truth: Rows,
    size: int,
    *,
    clock: Clock = time.perf_counter,
) -> None:
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
    result.rows += _rows(able.values(), size, {"mode": "two threads", "threads": 2}, metrics)
    result.ratios |= _ratios(f"queries_per_s n={size} two threads", two, timing.rate_ratio)


def _cost(held: float, start: float) -> dict[str, float | Spread]:
    """The cost of building since memory and clock stood there, without the vectors that all systems share."""
    return {
        "build_s": Spread.of([time.perf_counter() - start]),
        "held_mb": held_mb() - held,
        "peak_rss_mb": peak_rss_mb(),  # of the process, with everything before
    }


def _first_filter_ms(system: VectorSearch) -> Spread:
    """The first search that reads an attribute, which builds the attribute's column."""
    start = time.perf_counter()
    system.searches[SELECTIVITIES[0]](0)
    return Spread.of([1000 * (time.perf_counter() - start)])


def _recall(system: VectorSearch, call: Callable[[int], Any], truth: Rows) -> float:
    """Recall of the calls that were timed, over the same inputs, after the clock has stopped."""
    return recall_at_k([system.rows(call(row))[0] for row in range(len(truth))], truth)


def _ratios(
    measure: str, seconds: Mapping[str, Seconds], compare: Callable[[Seconds, Seconds], Spread]
) -> dict[str, Spread]:
    """The retriever compared with all peers, and its index alone with raw FAISS."""
    found = timing.ratios(measure, seconds, compare)
    return {
        name: ratio
        for name, ratio in found.items()
        if name.startswith(("twotower / ", "twotower-index / faiss :"))
    }


def _rows(
    systems: Iterable[VectorSearch],
    size: int,
    params: Mapping[str, Parameter],
    metrics: Mapping[str, Metrics],
) -> list[ResultRow]:
    shared = {"n": size, "dim": DIM, "k": K}
    return [
        ResultRow(system.name, {**shared, **system.params, **params}, metrics[system.name])
        for system in systems
    ]


def _headline(size: int, result: Result) -> str:
    single = {
        row.system: row.metrics
        for row in result.rows
        if row.params["n"] == size and row.params["mode"] == "single"
    }
    ours, raw = single["twotower"], single["faiss"]
    ratio = result.ratios[f"twotower / faiss : p50_ms n={size} single"]
    return (
        f"At {size:,} vectors and k={K} one search takes {ratio} times raw FAISS's median time on the same index "
        f"({ours['p50_ms'].median:.3f} ms against {raw['p50_ms'].median:.3f} ms, "
        f"recall@{K} {ours[f'recall@{K}']:.4f} against {raw[f'recall@{K}']:.4f})."
    )
