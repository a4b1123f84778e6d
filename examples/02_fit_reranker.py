"""Fit a cross-encoder on the train judgements of any BEIR folder, with negatives from your own recall.

    python examples/02_fit_reranker.py DATA --out my-reranker [--minutes 10]

Judged products alone never teach a model what everything else looks like: most of the candidates that it will
read are unjudged. So every query also gets products from further down its own recall list, and random ones,
as grade 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from multimodal import TextEncoder
from multimodal.hub import locate
from rerank import CrossEncoderReranker
from twotower import DualEncoder, Retriever
from twotower.ingest import read_catalog, read_qrels, read_queries


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/train.tsv")
    parser.add_argument("--out", type=Path, required=True, help="folder for the fitted model")
    parser.add_argument(
        "--base", default="sentence-transformers/all-MiniLM-L6-v2", help="model to start from"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="time for fitting")
    parser.add_argument("--negatives", type=int, default=3, help="unjudged products a query, of each kind")
    arguments = parser.parse_args()

    items = {item.id: item for item in read_catalog(arguments.data)}
    queries, qrels = read_queries(arguments.data), read_qrels(arguments.data, "train")
    retriever = Retriever(DualEncoder(TextEncoder()))
    retriever.upsert(items.values())

    rng = np.random.default_rng(0)
    pairs, grades, groups = [], [], []
    top = max(grade for judged in qrels.values() for grade in judged.values())
    ids = list(items)
    judged_ids = list(qrels)
    for start in tqdm(range(0, len(judged_ids), 64), desc="negatives"):
        batch = judged_ids[start : start + 64]
        for query_id, hits in zip(
            batch, retriever.search_batch([queries[q] for q in batch], k=200), strict=True
        ):
            near = [hit.id for hit in hits[50:]]
            chosen = {
                str(name) for name in rng.choice(near, min(arguments.negatives, len(near)), replace=False)
            }
            chosen |= {ids[row] for row in rng.integers(len(ids), size=arguments.negatives)}
            graded = {**dict.fromkeys(sorted(chosen), 0), **qrels[query_id]}
            pairs += [(str(queries[query_id]), items[item_id].words) for item_id in graded]
            grades += [grade / top for grade in graded.values()]
            groups += [query_id] * len(graded)

    print(f"{len(pairs):,} pairs of {len(qrels):,} queries")
    reranker = CrossEncoderReranker(locate(arguments.base), max_length=128)
    report = reranker.fit(pairs, grades, groups=groups, max_seconds=60 * arguments.minutes, progress=True)
    reranker.save(arguments.out)
    print(report)


if __name__ == "__main__":
    main()
