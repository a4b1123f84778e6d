"""Quality of every stage on a BEIR folder, beside chance, BM25, the straight recipe and txtai."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from benchmarks.common import arguments, models
from benchmarks.common.contract import Parameter, Result, Row, Spread
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.indexed import add_store, indexed
from benchmarks.common.quality import (
    counting_of,
    quality,
    quality_ratio,
    quality_table,
    sentence,
    shared_params,
)
from benchmarks.common.straight_recipe import StraightRecipe
from benchmarks.search.judged_only import judged_rows, judged_runs, judged_table
from multimodal import WeightedConcat
from twotower import Convex, DualEncoder, ReciprocalRank, Retriever
from twotower.evaluation import bm25_run, random_run, search_run, write_run
from twotower.evaluation.metrics import Run
from twotower.presets import IMAGE_WEIGHT, TEXT_WEIGHT, default_decay

DEPTH = 100
QUICK_QUERIES, QUICK_ITEMS = 15, 200
RERANKED = ("reranked", "hybrid+reranked", "cascade")
OURS = ("dense", "fused", "hybrid", *RERANKED, "reranked+decay")
PEERS = ("bm25", "sentence-transformers", "txtai")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, models, counting, and where to write the runs."""
    arguments.add_data(parser)
    arguments.add_models(parser, "text", "image", "reranker", "backend", "student")
    arguments.add_device(parser)
    arguments.add_counting(parser)
    parser.add_argument("--queries", type=int, help="only the first so many of the split (default: all)")
    parser.add_argument(
        "--relevance-weight", type=float, default=0.7, help="of reranked rows, 0 to 1 (default: 0.7)"
    )
    parser.add_argument(
        "--lexical-weight", type=float, help="of hybrid rows, by Convex (default: reciprocal ranks)"
    )
    add_store(parser)
    parser.add_argument("--without-peers", action="store_true", help="random, BM25 and our own rows alone")
    parser.add_argument("--runs", type=Path, help="write every run to this folder, in TREC's format")


def run(options: argparse.Namespace) -> Result:
    """Search with every system, print the table, and compare ours with the peers."""
    count = QUICK_QUERIES if options.quick else options.queries
    corpus_limit = QUICK_ITEMS if options.quick else None
    data = read_dataset(
        options.data, options.split, where=options.where, limit=count, corpus_limit=corpus_limit
    )
    ours = our_systems(data, options)
    newest = _newest(data)
    runs = {
        "random": random_run(data.queries, [item.id for item in data.items], DEPTH, seed=options.seed),
        "bm25": bm25_run(data.texts, data.items, DEPTH),
        **{
            name: search_run(retriever, data.worded if name == "dense" else data.queries, DEPTH, now=newest)
            for name, retriever in ours.items()
        },
        **({} if options.without_peers else peer_runs(data, options)),
    }
    counting = counting_of(options)
    shared = shared_params(data, options) | {"depth": DEPTH}
    rows = [
        Row(
            name,
            shared | parameters_of(name, data, options),
            quality(found, data.qrels, counting, seed=options.seed),
        )
        for name, found in runs.items()
    ]
    if options.runs is not None:
        export(runs, options.runs)
    print(quality_table(rows, runs, "bm25", data.qrels, counting, seed=options.seed))
    worded = {name: ours[name] for name in ("dense", *RERANKED) if name in ours}
    judged, qrels = judged_runs(worded, data, seed=options.seed)
    if qrels:
        judged_only = judged_rows(judged, qrels, counting, shared, seed=options.seed)
        print(judged_table(judged_only))
        rows += judged_only
    ratios = {
        f"{ours} / {peer} : ndcg@10": ratio
        for ours in OURS
        for peer in PEERS
        if ours in runs and peer in runs
        if (ratio := quality_ratio(runs[ours], runs[peer], data.qrels, counting, seed=options.seed))
        is not None
    }
    last = [name for name in OURS if name in runs and name not in ("reranked+decay", "cascade")][-1]
    return Result("search", options.seed, rows, headline(last, ratios), ratios)


def headline(system: str, ratios: Mapping[str, Spread]) -> str:
    """One of our rows beside BM25, which finds nothing where queries are photos."""
    name = f"{system} / bm25 : ndcg@10"
    if name not in ratios:
        return f"BM25 has 0 relevant products for these queries, so there is no ratio of {system} to it."
    return sentence({name: ratios[name]})


def our_systems(data: Dataset, options: argparse.Namespace) -> dict[str, Retriever]:
    """The library's stages, each on the one before it; fusion only where there are photos."""
    text = models.text_encoder(options)
    retriever = indexed(DualEncoder(text), data, options).using(relevance_weight=options.relevance_weight)
    systems = {"dense": retriever}
    if _has_photos(data):
        photos = WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)
        encoder = DualEncoder(text, models.image_encoder(options), photos)
        retriever = Retriever(encoder, relevance_weight=options.relevance_weight)
        retriever.upsert(data.items, on_error="skip")
        systems["fused"] = retriever
    fusion = Convex(options.lexical_weight) if options.lexical_weight else ReciprocalRank(depth=DEPTH)
    hybrid = retriever.using(hybrid=fusion)
    systems["hybrid"] = hybrid
    reranker = models.reranker(options)
    if reranker is None:
        return systems
    systems["reranked"] = retriever.using(reranker=reranker)
    systems["hybrid+reranked"] = hybrid.using(reranker=reranker)
    if (cascade := models.cascade(options)) is not None:
        systems["cascade"] = hybrid.using(reranker=cascade)
    if _newest(data) is not None:
        systems["reranked+decay"] = systems["reranked"].using(decay=default_decay())
    return systems


def peer_runs(data: Dataset, options: argparse.Namespace) -> dict[str, Run]:
    """The straight recipe, and txtai where it is installed; both read words only."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    documents = {item.id: item.words for item in data.items if item.words}
    queries = {name: query.text for name, query in data.worded.items()}
    if not queries:
        print("sentence-transformers and txtai are left out: no query has words.", file=sys.stderr)
        return {}
    model = models.text_model(options)
    cross_encoder = None
    if options.reranker is not None:
        cross_encoder = CrossEncoder(models.cross_encoder_folder(options), device=options.device)
    recipe = StraightRecipe(SentenceTransformer(model, device=options.device), cross_encoder, documents)
    runs: dict[str, Run] = {"sentence-transformers": recipe.run(queries, DEPTH)}
    try:
        from txtai import Embeddings
    except ImportError as error:
        print(f"txtai is left out: {error}", file=sys.stderr)
        return runs
    # Its own hybrid search: its BM25 and the same text model, half and half.
    embeddings = Embeddings(path=model, content=False, hybrid=True, gpu=options.device != "cpu")
    embeddings.index((item_id, text, None) for item_id, text in documents.items())
    found = embeddings.batchsearch(list(queries.values()), DEPTH)
    runs["txtai"] = {query: dict(hits) for query, hits in zip(queries, found, strict=True)}
    return runs


def parameters_of(name: str, data: Dataset, options: argparse.Namespace) -> dict[str, Parameter]:
    """What a row has of its own; models by the names that the options gave."""
    text, reranker = options.text_model or "all-MiniLM-L6-v2", options.reranker or "none: no reranked rows"
    image = {"image_model": options.image_model or "compact"} if _has_photos(data) else {}
    recall = "fused" if _has_photos(data) else "dense"
    if name in RERANKED:
        return {"candidates": recall if name == "reranked" else "hybrid"} | _reranking(name, options)
    match name:
        case "bm25":
            return {"k1": 1.2, "b": 0.75, "words": "English stems, jieba"}
        case "dense":
            return {"text_model": text, "reranker": reranker}
        case "fused":
            return {"text_model": text, **image, "text_weight": TEXT_WEIGHT, "image_weight": IMAGE_WEIGHT}
        case "hybrid":
            fusion = (
                {"lexical_weight": options.lexical_weight} if options.lexical_weight else {"constant": 60}
            )
            return {"fused_rankings": f"bm25, {recall}", **fusion}
        case "reranked+decay":
            newest = _newest(data)
            return {"candidates": recall, "now": newest.isoformat() if newest else None, "half_life_days": 90}
        case "sentence-transformers":
            return {"text_model": text, "reranker": options.reranker}
        case "txtai":
            return {"text_model": text, "hybrid": True, "reranker": None}
    return {}


def _reranking(name: str, options: argparse.Namespace) -> dict[str, Parameter]:
    shared: dict[str, Parameter] = {
        "reranker": options.reranker,
        "relevance_weight": options.relevance_weight,
        "backend": options.backend or "torch",
    }
    return shared | models.cascade_params(options) if name == "cascade" else shared


def export(runs: Mapping[str, Run], folder: Path) -> None:
    """Write every run as a file that trec_eval and ir_measures read."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in runs.items():
        write_run(folder / f"{name}.txt", found, name)


def _has_photos(data: Dataset) -> bool:
    return any(item.image is not None for item in data.items)


def _newest(data: Dataset) -> datetime | None:
    return max((item.time for item in data.items if item.time is not None), default=None)
