"""Quality of every stage on a BEIR folder, beside a random ranking, BM25, the straight recipe and txtai."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from itertools import product
from pathlib import Path

from benchmarks.common import arguments, models
from benchmarks.common.contract import Parameter, Result, Spread
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.quality import (
    DEPTH,
    NDCG,
    counting_of,
    quality_ratios,
    quality_rows,
    sentence,
    shared_params,
)
from benchmarks.search.judged_only import judged_only_rows
from benchmarks.search.peers import peer_runs
from multimodal import WeightedConcat
from twotower import Convex, DualEncoder, ReciprocalRank, Retriever
from twotower.evaluation import bm25_run, random_run, search_run, write_run
from twotower.evaluation.metrics import Run
from twotower.presets import IMAGE_WEIGHT, TEXT_WEIGHT, default_decay

QUICK_READ = {"limit": 15, "corpus_limit": 200}
RERANKED = ("reranked", "hybrid+reranked", "cascade")
STAGES = ("dense", "fused", "hybrid", "default", *RERANKED, "reranked+decay")
PEERS = ("bm25", "sentence-transformers", "txtai")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, models, counting, and where to write the runs."""
    arguments.add_data(parser)
    arguments.add_models(parser, "text", "image", "reranker", "backend", "student")
    arguments.add_device(parser)
    arguments.add_counting(parser)
    arguments.add_store(parser)
    parser.add_argument("--queries", type=int, help="only the first so many of the split (default: all)")
    parser.add_argument(
        "--relevance-weight", type=float, default=0.7, help="of reranked rows, 0 to 1 (default: 0.7)"
    )
    parser.add_argument(
        "--lexical-weight", type=float, help="of hybrid rows, by Convex (default: reciprocal ranks)"
    )
    parser.add_argument("--without-peers", action="store_true", help="random, BM25 and our own rows only")
    parser.add_argument("--runs", type=Path, help="write every run to this folder, in TREC's format")


def run(options: argparse.Namespace) -> Result:
    """Search with every system, and compare ours with the peers."""
    data = read_dataset(
        options.data,
        options.split,
        where=options.where,
        **(QUICK_READ if options.quick else {"limit": options.queries}),
    )
    ours = our_systems(data, options)
    runs: dict[str, Run] = {
        "random": random_run(data.queries, [item.id for item in data.items], DEPTH, seed=options.seed),
        "bm25": bm25_run(data.texts, data.items, DEPTH),
    }
    for name, retriever in ours.items():
        queries = data.worded if name == "dense" else data.queries
        runs[name] = search_run(retriever, queries, DEPTH, now=newest(data))
    if not options.without_peers:
        runs |= peer_runs(data, options, DEPTH)
    if options.runs is not None:
        options.runs.mkdir(parents=True, exist_ok=True)
        for name, found in runs.items():
            write_run(options.runs / f"{name}.txt", found, name)
    counting = counting_of(options)
    shared = shared_params(data, options) | {"depth": DEPTH}
    params = {name: shared | params_of(name, data, options) for name in runs}
    result = Result(
        "search",
        options.seed,
        quality_rows(runs, params, data.qrels, counting, baseline="bm25", seed=options.seed),
        quality_ratios(runs, product(STAGES, PEERS), data.qrels, counting, seed=options.seed),
    )
    worded = {name: ours[name] for name in ("dense", *RERANKED) if name in ours}
    result.rows += judged_only_rows(worded, data, counting, shared, seed=options.seed)
    result.headline = headline("hybrid+reranked" if "hybrid+reranked" in runs else "default", result.ratios)
    return result


def headline(system: str, ratios: Mapping[str, Spread]) -> str:
    """One of our rows against BM25, which finds nothing where queries are photos."""
    name = f"{system} / bm25 : {NDCG}"
    if name not in ratios:
        return f"BM25 finds 0 relevant products for these queries, so {system} has no ratio to it."
    return sentence({name: ratios[name]})


def our_systems(data: Dataset, options: argparse.Namespace) -> dict[str, Retriever]:
    """The library's default, and its stages, each on top of another; fusion only where there are photos."""
    retriever = models.dense_retriever(data, options).using(relevance_weight=options.relevance_weight)
    systems = {"dense": retriever}
    if data.has_photos:
        photos = WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)
        encoder = DualEncoder(models.text_encoder(options), models.image_encoder(options), photos)
        retriever = Retriever(encoder, relevance_weight=options.relevance_weight, hybrid=None)
        retriever.upsert(data.items, on_error="skip")
        systems["fused"] = retriever
    fusion = Convex(options.lexical_weight) if options.lexical_weight else ReciprocalRank(depth=DEPTH)
    hybrid = retriever.using(hybrid=fusion)
    systems["hybrid"] = hybrid
    systems["default"] = Retriever.default()
    systems["default"].upsert(data.items, on_error="skip")
    if (reranker := models.reranker(options)) is None:
        return systems
    systems["reranked"] = retriever.using(reranker=reranker)
    systems["hybrid+reranked"] = hybrid.using(reranker=reranker)
    if (cascade := models.cascade(options)) is not None:
        systems["cascade"] = hybrid.using(reranker=cascade)
    if newest(data) is not None:
        systems["reranked+decay"] = systems["reranked"].using(decay=default_decay())
    return systems


def params_of(name: str, data: Dataset, options: argparse.Namespace) -> dict[str, Parameter]:
    """The parameters of one row; models by the names that the options gave."""
    text, recall = models.text_name(options), "fused" if data.has_photos else "dense"
    moment = newest(data)
    now = {"now": None if moment is None else moment.isoformat()}
    match name:
        case "bm25":
            return {"k1": 1.2, "b": 0.75, "words": "English stems, jieba"}
        case "dense":
            return {"text_model": text, "reranker": options.reranker or "none: no reranked rows"}
        case "fused":
            image = options.image_model or "compact"
            return {
                "text_model": text, "image_model": image, "text_weight": TEXT_WEIGHT, "image_weight": IMAGE_WEIGHT,
            }  # fmt: skip
        case "hybrid":
            weight = options.lexical_weight
            fusion = {"lexical_weight": weight} if weight else {"constant": 60}
            return {"fused_rankings": f"bm25, {recall}", **fusion}
        case "default":
            return {"retriever": "Retriever.default()", **now}
        case "reranked" | "hybrid+reranked" | "cascade":
            own = models.cascade_params(options) if name == "cascade" else {}
            return {
                "candidates": recall if name == "reranked" else "hybrid",
                "reranker": options.reranker,
                "relevance_weight": options.relevance_weight,
                "backend": options.backend or "torch",
                **own,
            }
        case "reranked+decay":
            return {"candidates": recall, **now, "half_life_days": 90}
        case "sentence-transformers":
            return {"text_model": text, "reranker": options.reranker}
        case "txtai":
            return {"text_model": text, "hybrid": True, "reranker": None}
    return {}


def newest(data: Dataset) -> datetime | None:
    """The time of the newest item, at which all searches take place; None without times."""
    return max((item.time for item in data.items if item.time is not None), default=None)
