"""Items per second into the store: in memory, durably, and while another thread searches.

No text is encoded: every item's vector is looked up. Durable is what survives a loss of power once the call has
returned: for us every write, for the peers what they have saved, so durable chunks are larger. Our store goes on
merging after a write is acknowledged; `items_per_s` counts until that is over, `acknowledged_per_s` until the last
call.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common import timing
from benchmarks.common.contract import Result, Spread
from benchmarks.common.machine import installed, peak_rss_mb
from benchmarks.common.options import Option
from benchmarks.common.timing import Clock, Seconds
from benchmarks.common.vectors import DIM, K, Points, clustered, exact, recall_at_k
from benchmarks.ingest.stores import Kind, Store, faiss_store, hnswlib_store, retriever_store
from benchmarks.ingest.write_while_searching import Mixed, Round, write_while_searching
from twotower.recall.selection import Rows
from twotower.recall.vectors.policy import EXACT_UP_TO

QUERY_COUNT = 200
LOCKED = 64  # items that hnswlib adds while searches wait for it
OPTIONS = (
    Option("--size", "number of items", 100_000, quick=1_000),
    Option("--chunk", "items per call", 1_000, quick=250),
    Option("--durable-chunk", "items per call where each call is made durable", 10_000, quick=500),
    Option("--rounds", "chunks of a repetition while another thread searches", 10, quick=1),
    Option(
        "--exact-up-to", "items up to which a segment of ours is flat", EXACT_UP_TO, quick=400
    ),  # graphs too
)


def run(options: Namespace) -> Result:
    """Fill every store in memory, then durably, then write while searching."""
    size = options.size
    reserve = timing.REPETITIONS * options.rounds * options.chunk // 2  # new items of the mixed part
    points = clustered(size + reserve, QUERY_COUNT, seed=options.seed)
    ours = retriever_store(points, exact_up_to=options.exact_up_to)
    kinds, beside = [ours, faiss_store(points)], [ours]  # raw FAISS cannot delete
    if installed("hnswlib", "hnswlib"):
        hnswlib = partial(hnswlib_store, points, threads=options.threads, seed=options.seed)
        kinds.append(hnswlib())
        beside.append(hnswlib(locked=LOCKED))
    result = Result("ingest", options.seed)
    with TemporaryDirectory(prefix="twotower-ingest-") as scratch:
        folder = Path(scratch)
        plain = measure_fill(result, kinds, points, size, options.chunk, folder)
        durable = measure_fill(result, kinds, points, size, options.durable_chunk, folder, durable=True)
        measure_mixed(result, beside, points, options, folder)
    # The cost of our durability against a peer without any, each with its own chunks.
    result.ratios[f"twotower durable / faiss : items_per_s n={size}"] = timing.rate_ratio(
        durable["twotower"], plain["faiss"]
    )
    result.headline = _headline(size, result)
    return result


def measure_fill(
    result: Result,
    kinds: Sequence[Kind],
    points: Points,
    size: int,
    chunk: int,
    folder: Path,
    *,
    durable: bool = False,
    clock: Clock = time.perf_counter,
) -> dict[str, Seconds]:
    """Fill stores from empty, in turns, and save durable ones after every chunk; returns the seconds by store.

    Raises:
        ValueError: a store holds another number of items than was written.
    """
    filled: dict[str, Store] = {}
    acknowledged: dict[str, list[float]] = {kind.name: [] for kind in kinds}

    def write(kind: Kind, count: int) -> None:
        filled.pop(kind.name, None)  # one store of a kind at a time
        store = filled[kind.name] = kind.open(folder / kind.name, durable)
        began = clock()
        for start in range(0, count, chunk):
            store.upsert(range(start, min(start + chunk, count)))
            if durable:
                store.save()
        acknowledged[kind.name].append(clock() - began)
        store.settle()

    for kind in kinds:
        write(kind, chunk)  # the warm-up
    fill = {kind.name: partial(write, kind, size) for kind in kinds}
    seconds = timing.interleaved(fill, warm_up=0, clock=clock)
    truth = exact(points.items[:size], points.queries, K)
    queries = range(points.size, len(points.table))
    # Time that is saved while writing may be lost while searching.
    searches = timing.interleaved_calls({name: store.search for name, store in filled.items()}, queries)
    mode = "durable" if durable else "in memory"
    for kind in kinds:
        params = {"n": size, "dim": DIM, **kind.params, "mode": mode, "chunk": chunk}
        metrics = {
            "items_per_s": timing.rate(seconds[kind.name], size),
            "acknowledged_per_s": timing.rate(np.array(acknowledged[kind.name][1:]), size),
            f"recall@{K}": _recall(filled[kind.name], size, queries, truth),
            **timing.percentiles(searches[kind.name]),
            "peak_rss_mb": peak_rss_mb(),  # of the process, with all systems in it
        }
        result.add(kind.name, params | ({"durable": kind.durable} if durable else {}), metrics)
    result.ratios |= timing.ratios(f"items_per_s n={size} {mode}", seconds)
    return seconds


def measure_mixed(
    result: Result, kinds: Sequence[Kind], points: Points, options: Namespace, folder: Path
) -> None:
    """Upsert and delete in one thread while a second one searches; the number of items stays the same."""
    size = options.size
    stores = {kind.name: kind.open(folder / kind.name, False) for kind in kinds}
    for store in stores.values():
        store.upsert(range(size))
        store.settle()
    queries = range(points.size, len(points.table))
    quiet = {
        name: timing.interleaved_calls({name: store.search}, queries)[name] for name, store in stores.items()
    }
    done: dict[str, list[Mixed]] = {name: [] for name in stores}
    turns = list(enumerate(rounds_of(options)))
    for turn, rounds in tqdm(turns, desc="mixed", unit="repetition", disable=None, leave=False):
        for name in timing.rotated(list(stores), turn):
            store = stores[name]
            done[name].append(
                write_while_searching(store.upsert, store.delete, store.search, rounds, queries)
            )
    for kind in kinds:
        idle = {f"idle_p{part}_ms": 1000 * float(np.percentile(quiet[kind.name], part)) for part in (50, 99)}
        params = {"n": size, "dim": DIM, **kind.params, "mode": "mixed", "chunk": options.chunk}
        result.add(kind.name, params, _mixed_metrics(done[kind.name]) | idle)
    seconds = {name: np.array([each.write_s for each in mixed]) for name, mixed in done.items()}
    result.ratios |= timing.ratios(f"items_per_s n={size} mixed", seconds)
    for percent in (50, 99):
        meanwhile = {
            name: np.array([np.percentile(each.search_s, percent) for each in mixed])
            for name, mixed in done.items()
            if all(each.search_s for each in mixed)
        }
        result.ratios |= timing.ratios(f"p{percent}_ms n={size} mixed", meanwhile, timing.time_ratio)


def rounds_of(options: Namespace) -> list[list[Round]]:
    """The writes of each repetition: half of a chunk is new, half replaces items; then the oldest are deleted."""
    rng = np.random.default_rng(options.seed + 2)
    half = options.chunk // 2

    def one(number: int) -> Round:
        oldest, newest = number * half, options.size + number * half
        replaced = rng.choice(np.arange(oldest, newest), half, replace=False).tolist()
        return Round([*range(newest, newest + half), *replaced], range(oldest, oldest + half))

    return [
        [one(repetition * options.rounds + number) for number in range(options.rounds)]
        for repetition in range(timing.REPETITIONS)
    ]


def _mixed_metrics(mixed: Sequence[Mixed]) -> dict[str, float | Spread]:
    answered = [each.search_s for each in mixed if each.search_s]
    return {
        "items_per_s": Spread.of([each.written / each.write_s for each in mixed]),
        # Segments merge in few repetitions, so a median may miss it; this includes all of them.
        "overall_items_per_s": sum(each.written for each in mixed) / sum(each.write_s for each in mixed),
        "searches": sum(len(each.search_s) for each in mixed),
        "failed_searches": sum(each.failed_searches for each in mixed),
        "stale_hits": sum(each.stale_hits for each in mixed),
        **(timing.percentiles(answered) if answered else {}),
    }


def _recall(store: Store, size: int, queries: Sequence[int], truth: Rows) -> float:
    if store.size() != size:
        raise ValueError(f"the store holds {store.size()} items after {size} were written: it lost some")
    return recall_at_k([store.search(row) for row in queries], truth)


def _headline(size: int, result: Result) -> str:
    durable = result.ratios[f"twotower durable / faiss : items_per_s n={size}"]
    in_memory = result.ratios[f"twotower / faiss : items_per_s n={size} in memory"]
    (stale,) = (
        row.metrics["stale_hits"]
        for row in result.rows
        if (row.system, row.params["mode"]) == ("twotower", "mixed")
    )
    return (
        f"Durable ingest of {size:,} items runs at {durable} times the rate of raw FAISS in memory (ours in "
        f"memory too: {in_memory} times), and concurrent searches returned {stale} deleted items."
    )
