"""How much each stage of a retriever adds in quality and costs in milliseconds, on judged queries."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np
from tqdm.auto import tqdm

from multimodal.checks import check_callable, check_whole
from twotower.evaluation.baselines import bm25_run, random_run
from twotower.evaluation.caching import CachingReranker
from twotower.evaluation.checks import check_queries, metrics_within, queries_in
from twotower.evaluation.metrics import DEFAULT_METRICS, Counting, Gain, Qrels, Run, evaluate_run
from twotower.evaluation.report import EvaluationReport, StageResult
from twotower.evaluation.significance import Comparison, compare, corrected, mean_interval, query_values
from twotower.retriever import BaseRetriever
from twotower.types import ListwiseReranker, Query, Where

CHUNK = 32  # queries searched at a time; the progress bar advances by this many
ALONE = "recall, {} only"  # the stage of one modality
WARM_UP = 3  # queries searched before timing starts


def evaluate(
    retriever: BaseRetriever,
    queries: Mapping[str, str | Query],
    qrels: Qrels,
    *,
    metrics: Sequence[str] | None = None,
    relevant: float = 1,
    gain: Gain = "linear",
    k: int = 100,
    where: Where | None = None,
    now: datetime | None = None,
    timed_queries: int = 50,
    seed: int = 0,
    progress: bool | None = None,
) -> EvaluationReport:
    """Measure a retriever stage by stage, beside a random ranking and BM25.

    The stages are those that the retriever has: recall by each modality alone (with the rest of the query vector
    left out, and without modalities that no item or no query has), "fused" recall by all of them ("recall" if there
    is only one), "hybrid" recall with BM25, "reranked", and "decayed". Each is compared with the one before it on
    the first metric, by `significance.compare`, Holm-corrected over the stages.

    Milliseconds are for whole searches, one query at a time, and the stages take turns on every query. Timed
    searches score every pair anew; quality scores each pair once.

    Args:
        retriever: with the items indexed.
        queries: by id, such as `read_queries` returns; queries without judgements are not searched.
        qrels: grades by query and item, such as `read_qrels` returns.
        metrics: as in `evaluate_run`, none deeper than k; stages are compared on the first. None is
            `DEFAULT_METRICS`, as deep as k allows.
        relevant: the lowest grade that counts as relevant.
        gain: of nDCG.
        k: hits per query. Relevant items beyond it count as missed, and a reranker scores at least k candidates: pass
            10 to measure a page of 10.
        where: search only items with these attributes.
        now: the moment to search at, aware; None is the present.
        timed_queries: number of queries, evenly spread, to time; 0 for none.
        seed: of the random row, the bootstrap and the permutation test.
        progress: show a progress bar; None shows one on a terminal.

    Returns:
        Runs, means, intervals, differences and milliseconds, with `table()`, `to_json()` and `plot()`.

    Raises:
        ValueError: as in `evaluate_run`, a metric is deeper than k, or a judged query is not among `queries`.
        JudgementError: `qrels` has another form.
    """
    check_whole("timed_queries", timed_queries, least=0)
    check_whole("seed", seed, least=0)
    metrics = metrics_within(k, metrics, DEFAULT_METRICS)
    evaluate_run(
        {}, qrels, metrics, relevant=relevant, gain=gain
    )  # what cannot be measured need not be searched
    asked = _judged_queries(queries, qrels)
    searched = list(retriever.items(where))
    twins = stages_of(retriever)
    runs: dict[str, Run] = {
        "random": random_run(asked, [item.id for item in searched], k, seed=seed),
        "bm25": bm25_run({query: each.text for query, each in asked.items()}, searched, k),
    }
    hidden = None if progress is None else not progress
    with tqdm(
        total=len(asked) * len(twins), desc="evaluate", unit="query", disable=hidden, leave=False
    ) as bar:
        plain = None if isinstance(retriever.reranker, ListwiseReranker) else retriever.reranker
        cached = None if plain is None else CachingReranker(plain)
        for name, twin in twins.items():
            quick = twin if cached is None or twin.reranker is None else twin.using(reranker=cached)
            runs[name] = search_run(quick, asked, k, where=where, now=now, advance=bar.update)
    twins, runs = _without_empty_modalities(twins, runs)
    milliseconds = time_searches(twins, _spread(list(asked.values()), timed_queries), k, where=where, now=now)
    counting: Counting = {"relevant": relevant, "gain": gain}
    changes = _changes({name: runs[name] for name in twins}, qrels, metrics[0], counting, seed)
    stages = [
        StageResult(
            name=name,
            run=run,
            means=evaluate_run(run, qrels, metrics, **counting),
            condensed=evaluate_run(
                run, qrels, metrics[:1], relevant=relevant, gain=gain, unjudged="condensed"
            )[metrics[0]],
            interval=mean_interval(query_values(run, qrels, metrics[0], **counting), seed=seed),
            milliseconds=milliseconds.get(name, {}),
            change=changes.get(name),
        )
        for name, run in runs.items()
    ]
    judged = sum(max(grades.values(), default=0) >= relevant for grades in qrels.values())
    return EvaluationReport(tuple(stages), queries=judged, relevant=relevant, gain=gain)


def stages_of(retriever: BaseRetriever) -> dict[str, BaseRetriever]:
    """The retriever cut off after each of its stages, by the stage's name, in order."""
    recall = retriever.using(reranker=None, decay=None)
    vectors = recall.using(hybrid=None)
    modalities = list(retriever.modalities) if len(retriever.modalities) > 1 else []
    stages = {ALONE.format(name): vectors.using(modality=name) for name in modalities}
    stages["fused" if modalities else "recall"] = vectors
    if retriever.hybrid is not None:
        stages["hybrid"] = recall
    if retriever.reranker is not None:
        stages["reranked"] = retriever.using(decay=None)
    if retriever.decay is not None:
        stages["decayed"] = retriever
    return stages


def search_run(
    retriever: BaseRetriever,
    queries: Mapping[str, str | Query],
    k: int = 100,
    *,
    where: Where | None = None,
    now: datetime | None = None,
    advance: Callable[[int], object] | None = None,
) -> dict[str, dict[str, float]]:
    """Search all queries and keep the scores of their hits.

    Args:
        retriever: what to search with.
        queries: by id.
        k: hits per query.
        where: as in `Retriever.search`.
        now: as in `Retriever.search`.
        advance: called with the number of queries after each chunk, such as a progress bar's `update`.

    Returns:
        A run: scores by query and item.
    """
    run: dict[str, dict[str, float]] = {}
    queries = queries_in(queries)
    if advance is not None:
        check_callable("advance", advance)
    ids = list(queries)
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        found = retriever.search_batch([queries[query] for query in chunk], k, where=where, now=now)
        run |= {query: {hit.id: hit.score for hit in hits} for query, hits in zip(chunk, found, strict=True)}
        if advance is not None:
            advance(len(chunk))
    return run


def time_searches(
    retrievers: Mapping[str, BaseRetriever],
    queries: Sequence[Query],
    k: int,
    *,
    where: Where | None = None,
    now: datetime | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, dict[str, float]]:
    """Time single searches, with the retrievers taking turns on every query.

    Args:
        retrievers: by name.
        queries: what to search; with none, nothing is timed.
        k: hits per query.
        where: as in `Retriever.search`.
        now: as in `Retriever.search`.
        clock: a monotonic clock, in seconds.

    Returns:
        p50_ms and p95_ms by name.
    """
    if not queries:
        return {}
    for query in queries[:WARM_UP]:
        for retriever in retrievers.values():
            retriever.search(query, k, where=where, now=now)
    seconds: dict[str, list[float]] = {name: [] for name in retrievers}
    for query in queries:
        for name, retriever in retrievers.items():
            start = clock()
            retriever.search(query, k, where=where, now=now)
            seconds[name].append(clock() - start)
    return {
        name: {f"p{percent}_ms": 1000 * float(np.percentile(each, percent)) for percent in (50, 95)}
        for name, each in seconds.items()
    }


def _judged_queries(queries: Mapping[str, str | Query], qrels: Qrels) -> dict[str, Query]:
    check_queries(queries, qrels)
    return queries_in({query: queries[query] for query in qrels})


def _without_empty_modalities(
    stages: Mapping[str, BaseRetriever], runs: Mapping[str, Run]
) -> tuple[dict[str, BaseRetriever], dict[str, Run]]:
    """Leave out modalities that score every item 0, because no item or query has them; nothing fuses a single one."""
    alone = [ALONE.format(name) for name in next(iter(stages.values())).modalities]
    alone = [name for name in alone if name in stages]
    present = [name for name in alone if any(any(scores.values()) for scores in runs[name].values())]
    dropped = set(alone) - set(present if len(present) > 1 else ())
    names = {
        name: "recall" if name == "fused" and len(present) < 2 else name
        for name in runs
        if name not in dropped
    }
    return (
        {new: stages[old] for old, new in names.items() if old in stages},
        {new: runs[old] for old, new in names.items()},
    )


def _changes(
    runs: Mapping[str, Run], qrels: Qrels, metric: str, counting: Counting, seed: int
) -> dict[str, Comparison]:
    """Each run compared with the one before it, by its name; none for the first."""
    return corrected(
        {
            after: compare(runs[after], runs[before], qrels, metric, **counting, seed=seed)
            for before, after in pairwise(runs)
        }
    )


def _spread(queries: Sequence[Query], count: int) -> Sequence[Query]:
    """`count` of the queries, evenly spread, or all if there are fewer."""
    places = np.linspace(0, len(queries) - 1, min(count, len(queries)))
    return [queries[int(place)] for place in places]
