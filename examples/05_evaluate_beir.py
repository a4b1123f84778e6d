"""Evaluate search on any BEIR folder: what each stage buys in quality and costs in milliseconds.

    twotower index DATA --store STORE
    python examples/05_evaluate_beir.py DATA --store STORE --split dev [--reranker FOLDER] [--plot stages.png]

Random and BM25 stand beside the stages; queries without a relevant product are left out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rerank import CrossEncoderReranker
from twotower import Retriever
from twotower.evaluation import evaluate
from twotower.ingest import read_qrels, read_queries


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="BEIR folder: queries.jsonl, qrels/SPLIT.tsv")
    parser.add_argument("--store", type=Path, required=True, help="made by `twotower index DATA`")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--relevant", type=int, default=1, help="least grade that counts as relevant")
    parser.add_argument("--gain", choices=("linear", "exponential"), default="linear", help="of nDCG")
    parser.add_argument("--where", type=json.loads, help="search only items with these attributes")
    parser.add_argument("--reranker", help="a cross-encoder's folder or hub name")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--plot", type=Path, help="draw the stages to this .png or .svg file")
    arguments = parser.parse_args()

    reranker = None if arguments.reranker is None else CrossEncoderReranker(arguments.reranker)
    evaluation = evaluate(
        Retriever.open(arguments.store, reranker=reranker, read_only=True),
        read_queries(arguments.data),
        read_qrels(arguments.data, arguments.split),
        relevant=arguments.relevant,
        gain=arguments.gain,
        where=arguments.where,
    )
    print(evaluation.table())
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(evaluation.to_json(), indent=2), encoding="utf-8")
    if arguments.plot is not None:
        evaluation.plot(arguments.plot)


if __name__ == "__main__":
    main()
