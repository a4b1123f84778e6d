"""Vector search: what the retriever costs over raw FAISS with the same index, beside hnswlib and usearch.

No text is encoded: queries and items look their vectors up. Recall@10 against the exact inner product stands beside
every time. Filters are independent of the vectors; the first filtered search builds the attribute's column, and its
time is in our row "build". Searches of one query use one thread: FAISS's scans would otherwise wake all threads for
one query, ours and the peer's alike, and wait for each other on a busy machine.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from tqdm.auto import tqdm

from benchmarks.common import timing
from benchmarks.common.contract import Metrics, Params, Result, Spread
from benchmarks.common.machine import held_mb, installed, peak_rss_mb
from benchmarks.common.options import Option
from benchmarks.common.timing import Clock, Seconds
from benchmarks.common.vectors import (
    DIM,
    SELECTIVITIES,
    K,
    Points,
    clustered,
    exact,
    openmp_threads,
    recall_at_k,
)
from benchmarks.recall.system import ALL, Share, VectorSearch, answer_in_threads
from benchmarks.recall.systems import (
    build_retriever,
    hnswlib_graph,
    index_alone,
    index_of,
    usearch_graph,
    whole_retriever,
)
from twotower.recall.selection import Rows
from twotower.recall.vectors.policy import EXACT_UP_TO

QUERIES_A_CALL = 256
PEERS = {"hnswlib": hnswlib_graph, "usearch": usearch_graph}
OPTIONS = (
    Option("--sizes", "numbers of vectors", [100_000, 1_000_000], quick=[2_000, 5_000], nargs="+", type=int),
    Option("--queries", "number of queries, searched in batches and by two threads", 1024, quick=128),
    Option("--single", "number of these queries to search one by one", 500, quick=40),
    Option("--filtered", "number of these queries to search one by one under each filter", 30, quick=5),
    Option("--exact-up-to", "items up to which our index is flat", EXACT_UP_TO, quick=3_000),
    Option("--without-peers", "raw FAISS alone: no other library builds graphs", False, action="store_true"),
)


def run(options: Namespace) -> Result:
    """Measure every size, the smallest first."""
    result = Result("recall", options.seed)
    sizes = sorted(set(options.sizes))
    for size in tqdm(sizes, desc="recall", unit="size", disable=None, leave=False):
        measure_size(result, size, options)
    result.headline = _headline(sizes[-1], result)
    return result


def measure_size(result: Result, size: int, options: Namespace) -> None:
    """Build every system over the same vectors, then let them take turns at every kind of search."""
    points = clustered(size, options.queries, seed=result.seed)
    turns = Turns(result, build_systems(result, points, options), size)
    truth = exact(points.items, points.queries, K)
    turns.single(truth[: options.single])
    turns.batch(truth, options.threads)
    turns.two_threads(truth)
    for share in SELECTIVITIES:
        turns.single(exact(points.items, points.queries[: options.filtered], K, points.allowed(share)), share)


def build_systems(result: Result, points: Points, options: Namespace) -> list[VectorSearch]:
    """Every system; ours first, so that its peak of memory includes no peer, then what shares its index."""
    from benchmarks.recall.raw_faiss import faiss_array, faiss_walk, raw_faiss  # after the threads are pinned

    params = {"mode": "build", "threads": options.threads}
    peers = [] if options.without_peers else [name for name in PEERS if installed(name, name)]
    bar = tqdm(
        total=1 + len(peers),
        desc=f"building, {points.size:,} vectors",
        unit="index",
        disable=None,
        leave=False,
    )
    before = held_mb(), time.perf_counter()
    retriever = build_retriever(points, options.exact_up_to)
    cost = _cost(*before)
    bar.update()
    ours, index = whole_retriever(retriever, points), index_of(retriever)
    cost["first_filter_ms"] = _first_filter_ms(ours)
    _add(result, [ours], points.size, {**params, "exact_up_to": options.exact_up_to}, {ours.name: cost})
    systems = [ours, index_alone(index, points), raw_faiss(index, points), faiss_array(points)]
    systems += faiss_walk(index, points, options.filtered)
    for name in peers:
        before = held_mb(), time.perf_counter()
        systems.append(PEERS[name](points, threads=options.threads, seed=result.seed))
        _add(result, systems[-1:], points.size, params, {name: _cost(*before)})
        bar.update()
    bar.close()
    return systems


@dataclass(frozen=True, slots=True)
class Turns:
    """The systems over so many vectors, which take turns; rows and ratios go into the result.

    A measurement gets the right answers to the first queries, shape (queries, k), and compares the systems that can
    be asked in its way.
    """

    result: Result
    systems: Sequence[VectorSearch]
    size: int
    clock: Clock = time.perf_counter

    def single(self, truth: Rows, share: Share = ALL) -> None:
        """One query per call, under a filter that a share of the items matches."""
        able = [system for system in self.systems if share in system.searches]
        calls = {system.name: system.searches[share] for system in able}
        with openmp_threads(1):
            seconds = timing.interleaved_calls(calls, range(len(truth)), clock=self.clock)
            metrics = {
                system.name: {**timing.percentiles(seconds[system.name]), **_recall(system, share, truth)}
                for system in able
            }
        mode = "single" if share == ALL else f"filtered {100 * share:g}%"
        _add(self.result, able, self.size, {"mode": mode, "threads": 1}, metrics)
        # A filter is measured with few queries, whose 99th percentile is their maximum.
        for percent in (50, 99) if share == ALL else (50,):
            self._compare(f"p{percent}_ms", mode, seconds, timing.time_ratio, percent=percent)

    def batch(self, truth: Rows, threads: int) -> None:
        """Many queries per call; every library may use all threads."""
        able = [system for system in self.systems if system.batch is not None]
        starts = range(0, len(truth), QUERIES_A_CALL)
        parts = [slice(start, min(start + QUERIES_A_CALL, len(truth))) for start in starts]
        calls = {system.name: partial(_all_parts, system, parts) for system in able}
        with openmp_threads(threads):
            seconds = timing.interleaved(calls, clock=self.clock)
            found = {system.name: list(chain(*map(system.rows, calls[system.name]()))) for system in able}
        metrics = {
            name: {
                "queries_per_s": timing.rate(seconds[name], len(truth)),
                f"recall@{K}": recall_at_k(rows, truth),
            }
            for name, rows in found.items()
        }
        params = {"mode": "batch", "batch": QUERIES_A_CALL, "threads": threads}
        _add(self.result, able, self.size, params, metrics)
        self._compare("queries_per_s", "batch", seconds, timing.rate_ratio)

    def two_threads(self, truth: Rows) -> None:
        """Two Python threads that send single queries, and one that sends them all; one OpenMP thread in each."""
        able = [system for system in self.systems if ALL in system.searches]
        inputs = range(len(truth))
        with ThreadPoolExecutor(2) as pool:
            calls = {
                f"{system.name} in {count}": partial(
                    answer_in_threads, system.searches[ALL], inputs, pool, count
                )
                for system in able
                for count in (1, 2)
            }
            seconds = timing.interleaved(calls, clock=self.clock)
        one, two = (
            {system.name: seconds[f"{system.name} in {count}"] for system in able} for count in (1, 2)
        )
        metrics = {
            system.name: {
                "queries_per_s": timing.rate(two[system.name], len(truth)),
                "scaling": timing.rate_ratio(two[system.name], one[system.name]),
                **_recall(system, ALL, truth),
            }
            for system in able
        }
        _add(self.result, able, self.size, {"mode": "two threads", "threads": 2}, metrics)
        self._compare("queries_per_s", "two threads", two, timing.rate_ratio)

    def _compare(
        self,
        metric: str,
        mode: str,
        seconds: Mapping[str, Seconds],
        compare: Callable[..., Spread],
        **how: float,
    ) -> None:
        """Add the ratios of the retriever to all peers, and of its index alone to raw FAISS."""
        found = timing.ratios(f"{metric} n={self.size} {mode}", seconds, compare, **how)
        kept = ("twotower / ", "twotower-index / faiss :")
        self.result.ratios |= {name: ratio for name, ratio in found.items() if name.startswith(kept)}


def _all_parts(system: VectorSearch, parts: Sequence[slice]) -> list[Any]:
    return [system.batch(part) for part in parts]


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


def _recall(system: VectorSearch, share: Share, truth: Rows) -> dict[str, float]:
    """Recall of the calls that were timed, over the same inputs, after the clock has stopped."""
    call = system.searches[share]
    return {f"recall@{K}": recall_at_k([system.rows(call(row))[0] for row in range(len(truth))], truth)}


def _add(
    result: Result, systems: Sequence[VectorSearch], size: int, params: Params, metrics: Mapping[str, Metrics]
) -> None:
    for system in systems:
        result.add(
            system.name, {"n": size, "dim": DIM, "k": K, **system.params, **params}, metrics[system.name]
        )


def _headline(size: int, result: Result) -> str:
    single = {
        row.system: row.metrics
        for row in result.rows
        if (row.params["n"], row.params["mode"]) == (size, "single")
    }
    ours, raw = single["twotower"], single["faiss"]
    ratio = result.ratios[f"twotower / faiss : p50_ms n={size} single"]
    return (
        f"At {size:,} vectors and k={K} one search takes {ratio} times raw FAISS's median time on the same index "
        f"({ours['p50_ms'].median:.3f} ms against {raw['p50_ms'].median:.3f} ms, "
        f"recall@{K} {ours[f'recall@{K}']:.4f} against {raw[f'recall@{K}']:.4f})."
    )
