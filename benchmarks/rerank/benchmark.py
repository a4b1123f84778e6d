"""Pairs per second of the cross-encoder, beside sentence-transformers and FlashRank over the same weights.

Each mix of lengths has two kinds of calls: all pairs of several queries in one call, and one query with its
candidates per call. No pair occurs twice in a call, so that computing equal pairs only once, as we do, saves nothing
here.

A student that `distil` made of the reranker has other weights: its rows also say what that costs in quality. Our back
ends in bfloat16 and 8-bit integers score a little differently; their rows say by how much, and with --data whether
that changes the order of judged items.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from benchmarks.common import quality, timing
from benchmarks.common.contract import Params, Result
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.models import cross_encoder_folder
from benchmarks.common.options import COUNTING, INPUTS, RERANKER, TEXT_MODEL, Option
from benchmarks.common.speed import Answers, System, measure_rate, require_equal_scores
from benchmarks.common.texts import MIXES, Lengths
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, Clock
from benchmarks.rerank.pairs import Work, make_works
from benchmarks.rerank.systems import all_systems, sentence_transformers
from twotower.evaluation.metrics import Qrels, Run

FIRST_JUDGED = 300  # queries with enough judged items, whose order is measured
OPTIONS = (
    *INPUTS,
    TEXT_MODEL,
    RERANKER,
    Option("--student", "folder that `distil` made of --reranker; may be repeated", [], action="append"),
    Option("--tokens", "approximate tokens of each mix; a GPU needs a million", 8_000, quick=200),
    Option("--candidates", "candidates per query", 100, quick=2),
    *COUNTING,
)


def run(options: Namespace) -> Result:
    """Measure every mix of lengths with both kinds of calls."""
    folder = cross_encoder_folder(options)
    peer: Any = sentence_transformers(folder, options.device)
    max_length = int(peer.tokenizer.model_max_length)  # what ours takes too
    systems = all_systems(folder, peer, max_length, options)
    dtype = str(peer.dtype).removeprefix("torch.")
    shared = {"max_length": max_length, "dtype": dtype, "device": options.device}
    data = None if options.data is None else read_dataset(options.data, options.split)
    result = Result("rerank", options.seed)
    works = make_works(peer.tokenizer, max_length, data, options)
    for work in tqdm(works, total=len(MIXES), desc="rerank", unit="mix", disable=None, leave=False):
        measure(result, systems, work, shared, repetitions=timing.repetitions_of(options))
    if data is not None:
        ours = {name: system for name, system in systems.items() if name.startswith(OURS)}
        add_judged_quality(result, ours, data, options, shared)
    result.add("whole run", {"systems": len(systems)}, {"peak_rss_mb": peak_rss_mb()})
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
    systems: Mapping[str, System],
    work: Work,
    shared: Params,
    *,
    repetitions: int = timing.REPETITIONS,
    clock: Clock = time.perf_counter,
) -> None:
    """Time one mix with both kinds of calls, after checking that all systems give its pairs the same scores.

    Raises:
        UnequalWorkError: a system scores differently.
    """
    mix, timed = {**shared, "mix": work.mix}, {"repetitions": repetitions, "clock": clock}
    in_batch = {**mix, "way": "batch", **_sizes(work.batch_lengths)}
    measure_rate(
        result, systems, work.batch, "pairs_per_s", work.mix, in_batch,
        reference=OURS, require_equal=require_equal_scores, difference=_score_error, **timed,
    )  # fmt: skip
    calls = {name: system.call for name, system in systems.items()}
    seconds = timing.interleaved_calls(calls, work.queries, warm_up=0, **timed)
    by_query = {**mix, "way": "per-query", **_sizes(work.query_lengths), "queries": len(work.queries)}
    for name, system in systems.items():
        speed = timing.rate(seconds[name].sum(axis=1), len(work.query_lengths))
        metrics = {"pairs_per_s": speed, **timing.percentiles(seconds[name])}
        result.add(name, {**system.params, **by_query}, metrics)
    result.ratios |= timing.ratios(f"p50_ms {work.mix} per-query", seconds, timing.time_ratio)


def add_judged_quality(
    result: Result, systems: Mapping[str, System], data: Dataset, options: Namespace, shared: Params
) -> None:
    """Rank only the judged items of each query with every system; ratios compare the others with the first."""
    qrels = dict(list(data.judged_only(quality.LEAST_JUDGED).items())[:FIRST_JUDGED])
    runs = {name: _judged_run(system, data, qrels) for name, system in systems.items()}
    params = {**shared, "way": "judged", "queries": len(qrels), "pairs": sum(map(len, qrels.values()))}
    result.rows += quality.quality_rows(
        runs, dict.fromkeys(runs, params), qrels, options, metrics=quality.JUDGED_METRICS
    )
    reference, *others = runs
    pairs = product(others, [reference])
    result.ratios |= quality.quality_ratios(runs, pairs, qrels, options, note="judged")


def _judged_run(system: System, data: Dataset, qrels: Qrels) -> Run:
    words = {item.id: item.words for item in data.items}
    asked = [(query, item) for query, grades in qrels.items() for item in grades]
    scores = iter(system.call([(data.queries[query].text, words[item]) for query, item in asked]).tolist())
    return {query: {item: next(scores) for item in grades} for query, grades in qrels.items()}


def _score_error(ours: Answers, other: Answers) -> dict[str, float]:
    return {"score_error": float(np.abs(ours - other).mean())}


def _sizes(lengths: Lengths) -> Params:
    return {"pairs": len(lengths), "mean_tokens": round(float(lengths.mean()), 1)}
