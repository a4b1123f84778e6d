"""Evaluate search on any BEIR folder: quality and latency of recall and of reranking.

    python examples/03_evaluate.py DATA --split dev [--reranker FOLDER] [--text-weight 1 --image-weight 0]
                                   [--where '{"split": "dev"}']

Unjudged products count as irrelevant. nDCG has exponential gain, 2 ** grade - 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from multimodal import ClipEncoder, TextEncoder, WeightedConcat
from rerank import CrossEncoderReranker
from twotower import DualEncoder, Query, Retriever
from twotower.evaluation.metrics import evaluate_run
from twotower.ingest import read_catalog, read_qrels, read_queries


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--reranker", help="a cross-encoder's folder or hub name")
    parser.add_argument("--relevance-weight", type=float, default=0.7)
    parser.add_argument("--text-weight", type=float, default=1.0)
    parser.add_argument("--image-weight", type=float, default=0.0)
    parser.add_argument(
        "--relevant", type=int, default=1, help="least grade that counts for MRR and hit rate"
    )
    parser.add_argument("--where", type=json.loads, help="search only items with these attributes")
    arguments = parser.parse_args()

    queries, qrels = read_queries(arguments.data), read_qrels(arguments.data, arguments.split)
    asked = {query_id: queries[query_id] for query_id in qrels}
    if arguments.image_weight > 0:
        fusion = WeightedConcat(text=arguments.text_weight, image=arguments.image_weight)
        encoder = DualEncoder(TextEncoder(), ClipEncoder.compact(), fusion)
    else:
        encoder = DualEncoder(TextEncoder())
    plain = Retriever(encoder)
    report = plain.upsert(read_catalog(arguments.data), on_error="skip")
    print(f"{report.upserted:,} items indexed, {len(report.skipped):,} skipped")

    def line(name: str, search: Callable[[Query], list]) -> None:
        run, seconds = {}, []
        for query_id, query in asked.items():
            start = time.perf_counter()
            hits = search(query)
            seconds.append(time.perf_counter() - start)
            run[query_id] = {hit.id: hit.score for hit in hits}
        means = evaluate_run(run, qrels, relevant=arguments.relevant, gain="exponential")
        values = "  ".join(f"{metric} {value:.4f}" for metric, value in means.items())
        print(f"{name:<10} {values}  p50 {1000 * np.median(seconds):.1f} ms")

    def encode(query: Query) -> list:
        encoder.encode_queries([query])
        return []

    for query in asked.values():  # warm up
        encode(query)
    line("(encode)", encode)
    line("recall", lambda query: plain.search(query, k=10, where=arguments.where))
    if arguments.reranker is not None:
        reranker = CrossEncoderReranker(arguments.reranker)
        reranked = plain.using(reranker=reranker, relevance_weight=arguments.relevance_weight)
        line("reranked", lambda query: reranked.search(query, k=10, where=arguments.where))


if __name__ == "__main__":
    main()
