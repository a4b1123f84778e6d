"""Quality of every stage on a BEIR folder, beside a random ranking, BM25, the straight recipe and txtai."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import TypeAlias

from benchmarks.common import models, quality
from benchmarks.common.contract import Params, Result, Spread
from benchmarks.common.data import Dataset, dataset_of
from benchmarks.common.machine import installed
from benchmarks.common.options import IMAGE_MODEL, JUDGED_DATA, RERANKING, TEXT_MODEL, Option
from benchmarks.common.quality import DEPTH, NDCG
from benchmarks.common.straight_recipe import StraightRecipe
from benchmarks.common.timing import SENTENCE_TRANSFORMERS
from benchmarks.search.judged_only import judged_only_rows
from multimodal import WeightedConcat
from multimodal.hub import locate
from twotower import DualEncoder, ReciprocalRank, Retriever
from twotower.evaluation import write_run
from twotower.evaluation.metrics import Run
from twotower.presets import IMAGE_WEIGHT, TEXT_WEIGHT, default_decay

RERANKED = ("reranked", "hybrid+reranked", "cascade")
STAGES = ("dense", "fused", "hybrid", "default", *RERANKED, "reranked+decay")
PEERS = ("bm25", SENTENCE_TRANSFORMERS, "txtai")
Systems: TypeAlias = dict[str, tuple[Retriever, Params]]
OPTIONS = (
    *JUDGED_DATA,
    Option("--queries", "number of queries, the first of the split", quick=15),
    Option("--items", "number of items: the judged ones, then others", quick=200),
    TEXT_MODEL,
    IMAGE_MODEL,
    *RERANKING,
    Option("--relevance-weight", "relevance weight of the reranked rows, 0 to 1", 0.7),
    Option("--without-peers", "random, BM25 and our own rows only", False, action="store_true"),
    Option("--runs", "write every run to this folder, in TREC's format", type=Path),
)


def run(options: Namespace) -> Result:
    """Search with every system, and compare ours with the peers."""
    data = dataset_of(options)
    ours = our_systems(data, options)
    retrievers = {name: retriever for name, (retriever, _) in ours.items()}
    runs = quality.baseline_runs(data, data.items, options.seed)
    runs |= quality.search_runs(retrievers, data, words_only={"dense"}, now=newest(data))
    if not options.without_peers:
        runs |= peer_runs(data, options)
    if options.runs is not None:
        options.runs.mkdir(parents=True, exist_ok=True)
        for name, found in runs.items():
            write_run(options.runs / f"{name}.txt", found, name)
    shared = quality.shared_params(data, options) | {"depth": DEPTH}
    own: dict[str, Params] = {
        "random": {},
        "bm25": {"k1": 1.2, "b": 0.75, "words": "English stems, jieba"},
        SENTENCE_TRANSFORMERS: {"text_model": options.text_model, "reranker": options.reranker},
        "txtai": {"text_model": options.text_model, "hybrid": True, "reranker": None},
    } | {name: params for name, (_, params) in ours.items()}
    result = Result(
        "search",
        options.seed,
        quality.quality_rows(
            runs, {name: shared | own[name] for name in runs}, data.qrels, options, baseline="bm25"
        ),
        quality.quality_ratios(runs, product(STAGES, PEERS), data.qrels, options),
    )
    by_words = {name: retrievers[name] for name in ("dense", *RERANKED) if name in retrievers}
    result.rows += judged_only_rows(by_words, data, options, shared)
    result.headline = headline("hybrid+reranked" if "hybrid+reranked" in runs else "default", result.ratios)
    return result


def headline(system: str, ratios: Mapping[str, Spread]) -> str:
    """One of our rows against BM25, which finds nothing where queries are photos."""
    name = f"{system} / bm25 : {NDCG}"
    if name not in ratios:
        return f"BM25 finds 0 relevant products for these queries, so {system} has no ratio to it."
    return quality.sentence({name: ratios[name]})


def our_systems(data: Dataset, options: Namespace) -> Systems:
    """The library's default, and its stages, each on top of another; fusion only where there are photos."""
    text, weighted = {"text_model": options.text_model}, {"relevance_weight": options.relevance_weight}
    vectors, recall = models.dense_retriever(data, options).using(**weighted), "dense"
    systems: Systems = {
        "dense": (vectors, {**text, "reranker": options.reranker or "none: no reranked rows"})
    }
    if data.has_photos:
        photos = WeightedConcat(text=TEXT_WEIGHT, image=IMAGE_WEIGHT)
        encoder = DualEncoder(models.text_encoder(options), models.image_encoder(options), photos)
        vectors, recall = models.indexed(data, encoder).using(**weighted), "fused"
        weights = {"text_weight": TEXT_WEIGHT, "image_weight": IMAGE_WEIGHT}
        systems["fused"] = vectors, {**text, "image_model": options.image_model, **weights}
    weight = options.lexical_weight
    hybrid = vectors.using(hybrid=models.lexical_fusion(options) or ReciprocalRank(depth=DEPTH))
    fusion = {"lexical_weight": weight} if weight else {"constant": 60}
    systems["hybrid"] = hybrid, {"fused_rankings": f"bm25, {recall}", **fusion}
    default = Retriever.default()
    default.upsert(data.items, on_error="skip")
    moment = newest(data)
    now = {"now": None if moment is None else moment.isoformat()}
    systems["default"] = default, {"retriever": "Retriever.default()", **now}
    if (reranker := models.reranker(options)) is None:
        return systems
    read = {"reranker": options.reranker, **weighted, "backend": options.backend or "torch"}
    reranked = vectors.using(reranker=reranker)
    systems["reranked"] = reranked, {"candidates": recall, **read}
    systems["hybrid+reranked"] = hybrid.using(reranker=reranker), {"candidates": "hybrid", **read}
    if (cascade := models.cascade(options)) is not None:
        params = {"candidates": "hybrid", **read, **models.cascade_params(options)}
        systems["cascade"] = hybrid.using(reranker=cascade), params
    if moment is not None:
        decayed = reranked.using(decay=default_decay())
        systems["reranked+decay"] = decayed, {"candidates": recall, **now, "half_life_days": 90}
    return systems


def peer_runs(data: Dataset, options: Namespace) -> dict[str, Run]:
    """Search with every installed peer; both read words only."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    documents = {item.id: item.words for item in data.items if item.words}
    queries = {name: query.text for name, query in data.worded.items()}
    if not queries:
        print("sentence-transformers and txtai are left out: no query has words", file=sys.stderr)
        return {}
    model, cross_encoder = locate(options.text_model), None
    if options.reranker is not None:
        cross_encoder = CrossEncoder(models.cross_encoder_folder(options), device=options.device)
    recipe = StraightRecipe(SentenceTransformer(model, device=options.device), cross_encoder, documents)
    runs: dict[str, Run] = {SENTENCE_TRANSFORMERS: recipe.run(queries, DEPTH)}
    if installed("txtai", "txtai"):
        from txtai import Embeddings

        # Its own hybrid search: its BM25 and the same text model, with equal weights.
        embeddings = Embeddings(path=model, content=False, hybrid=True, gpu=options.device != "cpu")
        embeddings.index((item_id, text, None) for item_id, text in documents.items())
        found = embeddings.batchsearch(list(queries.values()), DEPTH)
        runs["txtai"] = {query: dict(hits) for query, hits in zip(queries, found, strict=True)}
    return runs


def newest(data: Dataset) -> datetime | None:
    """The time of the newest item, at which all searches take place; None without times."""
    return max((item.time for item in data.items if item.time is not None), default=None)
