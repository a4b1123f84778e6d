"""Evaluate search on any BEIR folder: quality of recall and of reranking, and the latency of every stage.

    twotower index DATA --store STORE
    python examples/03_evaluate.py DATA --store STORE --split dev [--reranker FOLDER] [--where '{"split": "dev"}']

Unjudged products count as irrelevant; queries without a relevant product are left out; nDCG has exponential gain,
2 ** grade - 1. Time decay is left out, since these judgements say nothing of freshness.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rerank import CrossEncoderReranker
from twotower import Hit, Query, Retriever
from twotower.evaluation.metrics import evaluate_run
from twotower.ingest import read_qrels, read_queries


def timed(search: Callable[[Query], Sequence[Hit]], queries: dict[str, Query]) -> tuple[dict, float]:
    """Hits by query id, and the median milliseconds of a query."""
    run, seconds = {}, []
    for query_id, query in queries.items():
        start = time.perf_counter()
        run[query_id] = search(query)
        seconds.append(time.perf_counter() - start)
    return run, 1000 * float(np.median(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="BEIR folder: queries.jsonl, qrels/SPLIT.tsv")
    parser.add_argument("--store", type=Path, required=True, help="made by `twotower index DATA`")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--relevant", type=int, default=1, help="least grade that counts as relevant")
    parser.add_argument("--where", type=json.loads, help="search only items with these attributes")
    parser.add_argument("--reranker", help="a cross-encoder's folder or hub name")
    parser.add_argument("--relevance-weight", type=float, nargs="+", default=[0.7])
    arguments = parser.parse_args()

    all_queries, qrels = read_queries(arguments.data), read_qrels(arguments.data, arguments.split)
    queries = {query_id: all_queries[query_id] for query_id in qrels}
    plain = Retriever.load(arguments.store).using(decay=None)

    def report(name: str, retriever: Retriever) -> None:
        hits, milliseconds = timed(lambda query: retriever.search(query, 10, where=arguments.where), queries)
        run = {query_id: {hit.id: hit.score for hit in found} for query_id, found in hits.items()}
        means = evaluate_run(run, qrels, relevant=arguments.relevant, gain="exponential")
        values = "  ".join(f"{metric} {value:.4f}" for metric, value in means.items())
        print(f"{name:<16} {values}  p50 {milliseconds:.1f} ms", flush=True)

    timed(lambda query: plain.search(query, 10), dict(list(queries.items())[:20]))  # warm up
    _, encoding = timed(lambda query: plain.encoder.encode_queries([query]), queries)
    print(f"encoding a query: p50 {encoding:.1f} ms; the rows below include it")
    report("recall", plain)
    for weight in arguments.relevance_weight if arguments.reranker is not None else []:
        reranker = CrossEncoderReranker(arguments.reranker)
        report(f"reranked, {weight:g}", plain.using(reranker=reranker, relevance_weight=weight))


if __name__ == "__main__":
    main()
