"""Options that several benchmarks share, under the same names."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

MODELS = {
    "text": ("--text-model", "sentence-transformers folder or hub name (default: all-MiniLM-L6-v2)"),
    "image": (
        "--image-model",
        "open_clip ARCHITECTURE/PRETRAINED, or local-dir:FOLDER (default: the compact one)",
    ),
    "reranker": ("--reranker", "cross-encoder folder or hub name (default: none)"),
    "backend": ("--backend", "what computes our reranker, such as onnx-int8 (default: torch)"),
    "student": ("--student", "folder of a smaller cross-encoder made by `distil` (default: none)"),
}


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options of every benchmark."""
    parser.add_argument("--out", type=Path, help="result file (default: benchmarks/results/NAME-<utc>.json)")
    parser.add_argument("--quick", action="store_true", help="a run of under a minute, to see that it works")
    parser.add_argument("--seed", type=int, default=0)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, help="for every library (default: all cores)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where models run."""
    parser.add_argument("--device", default="cpu", help="such as cpu or cuda (default: cpu)")


def add_models(parser: argparse.ArgumentParser, *names: str) -> None:
    """Some of `MODELS`."""
    for name in names:
        flag, text = MODELS[name]
        parser.add_argument(flag, help=text)
    if "student" in names:
        parser.add_argument(
            "--student-depth",
            type=int,
            nargs=2,
            default=(100, 20),
            metavar=("N", "M"),
            help="candidates that the student reads, and --reranker after it (default: 100 20)",
        )


def add_data(parser: argparse.ArgumentParser, *, split: bool = True) -> None:
    """A folder of data; without one, the sample shop of `twotower demo` is used."""
    parser.add_argument("--data", type=Path, help="BEIR folder (default: the sample shop of `twotower demo`)")
    if split:
        parser.add_argument("--split", default="dev", help="name of the qrels file (default: dev)")
        parser.add_argument("--where", type=json.loads, help="search only items with these attributes (JSON)")


def add_store(parser: argparse.ArgumentParser) -> None:
    """A store that already holds the data's items."""
    parser.add_argument("--store", help="folder of a store with the data's items, instead of encoding them")


def add_counting(parser: argparse.ArgumentParser) -> None:
    """How metrics count."""
    parser.add_argument("--relevant", type=int, default=1, help="lowest relevant grade (default: 1)")
    parser.add_argument(
        "--gain",
        choices=("linear", "exponential"),
        default="linear",
        help="of nDCG (default: linear, trec_eval's)",
    )
