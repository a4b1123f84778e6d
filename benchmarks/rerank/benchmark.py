"""Pairs per second of the cross-encoder, beside sentence-transformers and FlashRank over the same weights.

Each mix of lengths has two kinds of calls: all pairs of several queries in one call, and one query with its
candidates a call. No pair comes twice in a call, so that computing equal pairs only once, as we do, saves nothing
here.

A student that `distil` made of the reranker has other weights: its rows also say what that costs in quality. Our back
ends in bfloat16 and 8-bit integers score a little differently; their rows say by how much, and with --data whether
that changes the order of judged items.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import timing
from benchmarks.common.arguments import add_counting, add_device, add_models
from benchmarks.common.contract import Parameter, Result, ResultRow, Spread
from benchmarks.common.data import read_dataset
from benchmarks.common.equal_work import require_equal_scores
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.models import cross_encoder_folder
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, Clock
from benchmarks.rerank.judged_only import add_judged_quality
from benchmarks.rerank.pairs import Work, make_works
from benchmarks.rerank.systems import ScoringSystem, all_systems, sentence_transformers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `run` reads."""
    add_device(parser)
    add_models(parser, "text", "reranker")
    parser.add_argument(
        "--student",
        action="append",
        default=[],
        help="folder that `distil` made of --reranker; may be repeated",
    )
    add_counting(parser)
    parser.add_argument(
        "--data", type=Path, help="BEIR folder for queries, titles and descriptions (default: seeded words)"
    )
    parser.add_argument("--split", default="dev", help="whose queries, with --data (default: dev)")
    parser.add_argument(
        "--tokens", type=int, help="about how many each mix has (default: 8000; a GPU needs a million)"
    )


def run(options: argparse.Namespace) -> Result:
    """Measure every mix of lengths with both kinds of calls."""
    folder = cross_encoder_folder(options)
    peer: Any = sentence_transformers(folder, options.device)
    max_length = int(peer.tokenizer.model_max_length)  # what ours takes too
    systems = all_systems(folder, peer, max_length, options)
    dtype = str(peer.dtype).removeprefix("torch.")
    shared = {"max_length": max_length, "dtype": dtype, "device": options.device}
    result = Result("rerank", options.seed)
    repetitions = timing.QUICK_REPETITIONS if options.quick else timing.REPETITIONS
    for work in make_works(peer.tokenizer, max_length, options):
        measure(result, systems, work, shared, repetitions=repetitions)
    if options.data is not None:
        ours = {name: system.score for name, system in systems.items() if name.startswith(OURS)}
        add_judged_quality(result, ours, read_dataset(options.data, options.split), options, shared)
    result.rows.append(ResultRow("whole run", {"systems": len(systems)}, {"peak_rss_mb": peak_rss_mb()}))
    mixed = [
        f"{ratio} times {'in float32' if name == OURS else f'by {name.removeprefix(OURS).strip()}'}"
        for name in systems
        if (ratio := result.ratios.get(f"{name} / {SENTENCE_TRANSFORMERS} : pairs_per_s mixed")) is not None
    ]
    result.headline = (
        f"Over the same weights twotower scores, beside sentence-transformers in float32, {', '.join(mixed)} as many "
        f"pairs of mixed length a second on {options.device}."
    )
    return result


def measure(
    result: Result,
    systems: Mapping[str, ScoringSystem],
    work: Work,
    shared: Mapping[str, Parameter],
    *,
    repetitions: int = timing.REPETITIONS,
    clock: Clock = time.perf_counter,
) -> None:
    """Time one mix with both kinds of calls, after a check that all systems give its pairs the same scores.

    Args:
        result: gets the rows and the ratios of ours to every peer.
        systems: by name; ours start with "twotower".
        work: the pairs.
        shared: parameters of every row.
        repetitions: timed turns of each system.
        clock: a monotonic clock, in seconds.

    Raises:
        UnequalWorkError: a system scores differently.
    """
    first = {name: system.score(work.batch) for name, system in systems.items()}  # the warm-up too
    for name, scores in first.items():
        if systems[name].exact:
            require_equal_scores(first[OURS], scores, name)
    many = {name: partial(system.score, work.batch) for name, system in systems.items() if system.many}
    timed = {"repetitions": repetitions, "warm_up": 0}
    batch = timing.interleaved(many, clock=clock, **timed)
    single = timing.interleaved_calls(
        {name: system.score for name, system in systems.items()}, work.queries, clock=clock, **timed
    )
    mix = {**shared, "mix": work.mix}
    in_batch = {**mix, "way": "batch", **_sizes(work.batch_lengths)}
    by_query = {**mix, "way": "per-query", **_sizes(work.query_lengths), "queries": len(work.queries)}
    for name, system in systems.items():
        metrics: dict[str, float | Spread]
        if name in batch:
            metrics = {"pairs_per_s": timing.rate(batch[name], len(work.batch))}
            if not system.exact:
                metrics["score_error"] = float(np.abs(first[name] - first[OURS]).mean())
            result.rows.append(ResultRow(name, {**system.params, **in_batch}, metrics))
        speed = timing.rate(single[name].sum(axis=1), len(work.query_lengths))
        metrics = {"pairs_per_s": speed, **timing.percentiles(single[name])}
        result.rows.append(ResultRow(name, {**system.params, **by_query}, metrics))
    result.ratios |= timing.ratios(f"pairs_per_s {work.mix}", batch)
    result.ratios |= timing.ratios(f"p50_ms {work.mix} per-query", single, timing.time_ratio)


def _sizes(lengths: NDArray[np.int64]) -> dict[str, Parameter]:
    return {"pairs": len(lengths), "mean_tokens": round(float(lengths.mean()), 1)}
