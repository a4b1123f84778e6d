"""End to end: recall 100, rerank 100, beside the straight recipe with the same two models and the same quality."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from functools import partial

from benchmarks.common import models, quality, timing
from benchmarks.common.contract import Parameter, Result
from benchmarks.common.data import Dataset, dataset_of
from benchmarks.common.machine import peak_rss_mb
from benchmarks.common.options import JUDGED_DATA, RERANKING, TEXT_MODEL, Option
from benchmarks.common.quality import DEPTH, NDCG
from benchmarks.common.straight_recipe import StraightRecipe
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS
from multimodal.hub import locate
from multimodal.text_normalization import normalize_text
from rerank import CrossEncoderReranker
from twotower import Retriever
from twotower.evaluation import evaluate_run
from twotower.evaluation.metrics import Run

EQUAL = 0.002  # of nDCG@10: near-ties between float32 scores may swap two products
OPTIONS = (
    *JUDGED_DATA,
    Option("--queries", "number of queries to time", 20, quick=3),
    Option("--items", "number of items: the judged ones, then others", quick=200),
    Option("--depth", "candidates, all of which are reranked", DEPTH, quick=8),
    TEXT_MODEL,
    *RERANKING,
)


def run(options: Namespace) -> Result:
    """Time whole searches of both systems in turns, one query at a time and all in one call."""
    data, depth = dataset_of(options), options.depth
    if len(data.worded) < len(data.queries):
        raise ValueError(
            f"data '{data.name}' has a query without words: pass data whose queries all have words"
        )
    # Our encoders bring texts to one Unicode form; the recipe gets them in it, so that both read the same.
    queries = {query: normalize_text(text) for query, text in data.texts.items()}
    retriever, recipe = build(data, options)
    ours = {OURS: retriever} | faster_variants(retriever, options)
    runs: dict[str, Run] = quality.search_runs(ours, data, depth)
    runs[SENTENCE_TRANSFORMERS] = recipe.run(queries, depth)
    counting = quality.counting_of(options)
    qualities = {
        name: evaluate_run(found, data.qrels, [NDCG, "judged@10"], **counting) for name, found in runs.items()
    }
    require_equal_quality({name: qualities[name] for name in (OURS, SENTENCE_TRANSFORMERS)})

    words, repetitions = list(queries.values()), timing.repetitions_of(options)
    single = {name: partial(each.search, k=depth) for name, each in ours.items()}
    single[SENTENCE_TRANSFORMERS] = partial(recipe.search, depth=depth)
    batch = {name: partial(each.search_batch, words, depth) for name, each in ours.items()}
    batch[SENTENCE_TRANSFORMERS] = partial(recipe.search_all, words, depth)
    calls = timing.interleaved_calls(single, words, repetitions=repetitions, warm_up=2)
    batches = timing.interleaved(batch, repetitions=repetitions)
    shared = quality.shared_params(data, options) | {
        "depth": depth,
        "text_model": options.text_model,
        "reranker": options.reranker or "untrained head on the text model: speed only",
        "device": options.device,
    }
    result = Result("pipeline", options.seed)
    for name in runs:
        metrics = {
            **qualities[name],
            "queries_per_s": timing.rate(batches[name], len(words)),
            **timing.percentiles(calls[name]),
            "peak_rss_mb": peak_rss_mb(),  # of the process, which holds both systems
        }
        result.add(name, shared | _reading(name, options), metrics)
    result.ratios |= timing.ratios("queries_per_s batch", batches)
    for percent in (50, 95, 99):
        result.ratios |= timing.ratios(f"p{percent}_ms single", calls, timing.time_ratio, percent=percent)
    faster = [(name, SENTENCE_TRANSFORMERS) for name in ours if name != OURS]
    result.ratios |= quality.quality_ratios(runs, faster, data.qrels, options)
    p50 = result.ratios[f"{OURS} / {SENTENCE_TRANSFORMERS} : p50_ms single"]
    result.headline = (
        f"{OURS} / {SENTENCE_TRANSFORMERS} : p50_ms single: {p50} over {p50.n} repetitions, below 1 is faster, "
        f"at equal {NDCG}."
    )
    return result


def build(data: Dataset, options: Namespace) -> tuple[Retriever, StraightRecipe]:
    """Both systems over the same texts with the same two models."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    folder = models.cross_encoder_folder(options)
    retriever = models.dense_retriever(data, options).using(
        reranker=CrossEncoderReranker(folder, device=options.device),
        relevance_weight=1.0,  # the recipe orders by the cross-encoder alone
        rerank_depth=options.depth,
    )
    recipe = StraightRecipe(
        SentenceTransformer(locate(options.text_model), device=options.device),
        CrossEncoder(folder, device=options.device),
        {item.id: normalize_text(item.words) for item in data.items if item.words},
    )
    return retriever, recipe


def faster_variants(retriever: Retriever, options: Namespace) -> dict[str, Retriever]:
    """The retriever with another back end, and with a student in front, if the options name them; less exact.

    With `--lexical-weight` the cascade begins with hybrid recall: fused scores, then the student, then the model.
    """
    variants = {}
    if options.backend is not None:
        variants[f"{OURS} {options.backend}"] = retriever.using(reranker=models.reranker(options))
    if (cascade := models.cascade(options)) is not None:
        hybrid = models.lexical_fusion(options)
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


def _reading(system: str, options: Namespace) -> dict[str, Parameter]:
    """The parameters of a system's reranking."""
    if system in (OURS, SENTENCE_TRANSFORMERS):
        return {"precision": "float32"}
    backend: dict[str, Parameter] = {"backend": options.backend or "torch"}
    if system != f"{OURS} cascade":
        return backend
    return backend | models.cascade_params(options) | {"lexical_weight": options.lexical_weight or 0.0}
