"""End to end: recall 100, rerank 100, beside the straight recipe with the same two models and the same quality."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial

from benchmarks.common import arguments, models, timing
from benchmarks.common.contract import Parameter, Result, ResultRow
from benchmarks.common.data import Dataset, read_dataset
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.quality import DEPTH, NDCG, counting_of, quality_ratios
from benchmarks.common.straight_recipe import StraightRecipe
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS
from multimodal.text.normalization import normalize_text
from rerank import CrossEncoderReranker
from twotower import Convex, Retriever
from twotower.evaluation import evaluate_run, search_run
from twotower.evaluation.metrics import Run

EQUAL = 0.002  # of nDCG@10: near-ties between float32 scores may swap two products
QUICK_COUNT, QUICK_CORPUS, QUICK_DEPTH = 3, 200, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Data, models, and how many queries are timed."""
    arguments.add_data(parser)
    arguments.add_models(parser, "text", "reranker", "backend", "student")
    arguments.add_device(parser)
    arguments.add_counting(parser)
    arguments.add_store(parser)
    parser.add_argument(
        "--lexical-weight",
        type=float,
        help="of the cascade's candidates, by Convex (default: dense recall alone)",
    )
    parser.add_argument("--queries", type=int, default=20, help="how many to time (default: 20)")


def run(options: argparse.Namespace) -> Result:
    """Time whole searches of both systems in turns, one query at a time and all in one call."""
    count, depth = (QUICK_COUNT, QUICK_DEPTH) if options.quick else (options.queries, DEPTH)
    corpus_limit = QUICK_CORPUS if options.quick else None
    data = read_dataset(
        options.data, options.split, where=options.where, limit=count, corpus_limit=corpus_limit
    )
    if len(data.worded) < len(data.queries):
        raise ValueError(
            f"data '{data.folder}' has a query without words: pass data whose queries all have words"
        )
    # Our encoders bring texts to one Unicode form; the recipe gets them in it, so that both read the same.
    queries = {query: normalize_text(text) for query, text in data.texts.items()}
    retriever, recipe = build(data, options, depth)

    ours = {OURS: retriever} | faster_variants(retriever, options)
    runs: dict[str, Run] = {name: search_run(each, data.queries, depth) for name, each in ours.items()}
    runs[SENTENCE_TRANSFORMERS] = recipe.run(queries, depth)
    counting = counting_of(options)
    qualities = {
        name: evaluate_run(found, data.qrels, [NDCG, "judged@10"], **counting) for name, found in runs.items()
    }
    require_equal_quality({name: qualities[name] for name in (OURS, SENTENCE_TRANSFORMERS)})

    words = list(queries.values())
    repetitions = timing.QUICK_REPETITIONS if options.quick else timing.REPETITIONS
    single = timing.interleaved_calls(
        {name: partial(each.search, k=depth) for name, each in ours.items()}
        | {SENTENCE_TRANSFORMERS: lambda query: recipe.search(query, depth)},
        words,
        repetitions=repetitions,
        warm_up=2,
    )
    batch = timing.interleaved(
        {name: partial(each.search_batch, words, depth) for name, each in ours.items()}
        | {SENTENCE_TRANSFORMERS: lambda: recipe.search_all(words, depth)},
        repetitions=repetitions,
    )
    shared: dict[str, Parameter] = {
        "data": "sample shop" if options.data is None else data.folder.name,
        "split": options.split,
        "items": len(data.items),
        "queries": len(words),
        "depth": depth,
        "text_model": models.text_name(options),
        "reranker": options.reranker or "untrained head on the text model: speed only",
        "device": options.device,
    }
    result = Result("pipeline", options.seed)
    for name in runs:
        metrics = {
            **qualities[name],
            "queries_per_s": timing.rate(batch[name], len(words)),
            **timing.percentiles(single[name]),
            "peak_rss_mb": peak_rss_mb(),  # of the process, which holds both systems
        }
        result.rows.append(ResultRow(name, shared | _reading(name, options), metrics))
    result.ratios |= timing.ratios("queries_per_s batch", batch)
    for percent in (50, 95, 99):
        compare = partial(timing.time_ratio, percent=percent)
        result.ratios |= timing.ratios(f"p{percent}_ms single", single, compare)
    faster = [(name, SENTENCE_TRANSFORMERS) for name in ours if name != OURS]
    result.ratios |= quality_ratios(runs, faster, data.qrels, counting)
    p50 = result.ratios[f"{OURS} / {SENTENCE_TRANSFORMERS} : p50_ms single"]
    result.headline = (
        f"{OURS} / {SENTENCE_TRANSFORMERS} : p50_ms single: {p50} over {p50.n} repetitions, below 1 is faster, "
        f"at equal {NDCG}."
    )
    return result


def build(data: Dataset, options: argparse.Namespace, depth: int) -> tuple[Retriever, StraightRecipe]:
    """Both systems over the same texts with the same two models."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    folder = models.cross_encoder_folder(options)
    retriever = models.dense_retriever(data, options).using(
        reranker=CrossEncoderReranker(folder, device=options.device),
        relevance_weight=1.0,  # the recipe orders by the cross-encoder alone
        rerank_depth=depth,
    )
    recipe = StraightRecipe(
        SentenceTransformer(models.text_model(options), device=options.device),
        CrossEncoder(folder, device=options.device),
        {item.id: normalize_text(item.words) for item in data.items if item.words},
    )
    return retriever, recipe


def faster_variants(retriever: Retriever, options: argparse.Namespace) -> dict[str, Retriever]:
    """The retriever with another back end, and with a student in front, if the options name them; not as exact.

    With `--lexical-weight` the cascade begins with hybrid recall: fused scores, then the student, then the model.
    """
    variants = {}
    if options.backend is not None:
        variants[f"{OURS} {options.backend}"] = retriever.using(reranker=models.reranker(options))
    if (cascade := models.cascade(options)) is not None:
        hybrid = Convex(options.lexical_weight) if options.lexical_weight else None
        variants[f"{OURS} cascade"] = retriever.using(reranker=cascade, hybrid=hybrid)
    return variants


def require_equal_quality(qualities: Mapping[str, Mapping[str, float]]) -> None:
    """Refuse to compare the speed of systems of different quality.

    Raises:
        RuntimeError: nDCG@10 differs.
    """
    values = {name: each[NDCG] for name, each in qualities.items()}
    if max(values.values()) - min(values.values()) > EQUAL:
        raise RuntimeError(f"the systems differ in nDCG@10 ({values}): their speeds cannot be compared")


def _reading(system: str, options: argparse.Namespace) -> dict[str, Parameter]:
    """The parameters of a system's reranking."""
    if system in (OURS, SENTENCE_TRANSFORMERS):
        return {"precision": "float32"}
    backend: dict[str, Parameter] = {"backend": options.backend or "torch"}
    if system != f"{OURS} cascade":
        return backend
    return backend | models.cascade_params(options) | {"lexical_weight": options.lexical_weight or 0.0}
