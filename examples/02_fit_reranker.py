"""Fit a cross-encoder on the train judgements of any BEIR folder, with negatives from your own recall.

    python examples/02_fit_reranker.py DATA --out my-reranker [--minutes 10]

The same in one command, which also measures, writes a model card and goes on after an interruption:

    twotower train rerank --data DATA --out my-reranker --minutes 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

from multimodal import TextEncoder
from multimodal.hub import locate
from rerank import CrossEncoderReranker
from twotower import DualEncoder, ReciprocalRank, Retriever
from twotower.ingest import read_catalog, read_qrels, read_queries
from twotower.training import mine_pairs


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
    parser.add_argument("--negatives", type=int, default=4, help="unjudged products a query")
    arguments = parser.parse_args()

    queries, qrels = read_queries(arguments.data), read_qrels(arguments.data, "train")
    retriever = Retriever(DualEncoder(TextEncoder()), hybrid=ReciprocalRank())
    retriever.upsert(read_catalog(arguments.data))

    mined = mine_pairs(retriever, queries, qrels, negatives=arguments.negatives)
    print(mined)
    reranker = CrossEncoderReranker(locate(arguments.base), max_length=128)
    report = reranker.fit(mined.pairs, mined.grades, groups=mined.groups, max_seconds=60 * arguments.minutes)
    reranker.save(arguments.out)
    print(report)


if __name__ == "__main__":
    main()
