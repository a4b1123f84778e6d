"""Options that several benchmarks have, under the same names."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every benchmark takes."""
    parser.add_argument("--out", type=Path, help="result file (default: benchmarks/results/NAME-<utc>.json)")
    parser.add_argument(
        "--quick", action="store_true", help="a small run of under a minute, to see that it works"
    )
    parser.add_argument("--seed", type=int, default=0)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=cores, help="for every library (default: all cores)")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Where models run."""
    parser.add_argument("--device", default="cpu", help="such as cpu or cuda (default: cpu)")


def add_models(parser: argparse.ArgumentParser, *names: str) -> None:
    """Any of "text", "image", "reranker", "backend" and "student"."""
    helps = {
        "text": ("--text-model", "sentence-transformers folder or hub name (default: all-MiniLM-L6-v2)"),
        "image": (
            "--image-model",
            "open_clip ARCHITECTURE/PRETRAINED, or local-dir:FOLDER (default: the compact one)",
        ),
        "reranker": ("--reranker", "cross-encoder folder or hub name (default: none)"),
        "backend": ("--backend", "what computes our reranker, such as onnx-int8 (default: torch)"),
        "student": ("--student", "folder of a smaller cross-encoder that `distil` made (default: none)"),
    }
    for name in names:
        flag, text = helps[name]
        parser.add_argument(flag, help=text)
    if "student" in names:
        parser.add_argument(
            "--student-depth",
            type=int,
            nargs=2,
            default=(100, 20),
            metavar=("N", "M"),
            help="how many candidates the student reads, and --reranker after it (default: 100 20)",
        )


def add_data(parser: argparse.ArgumentParser, *, split: bool = True) -> None:
    """A folder of data; without one the sample shop of `twotower demo` serves."""
    parser.add_argument("--data", type=Path, help="BEIR folder (default: the sample shop of `twotower demo`)")
    if split:
        parser.add_argument("--split", default="dev", help="name of the qrels file (default: dev)")
        parser.add_argument("--where", type=json.loads, help="search only items with these attributes (JSON)")


def add_counting(parser: argparse.ArgumentParser) -> None:
    """How metrics count."""
    parser.add_argument("--relevant", type=int, default=1, help="least grade that is relevant (default: 1)")
    parser.add_argument(
        "--gain",
        choices=("linear", "exponential"),
        default="linear",
        help="of nDCG (default: linear, trec_eval's)",
    )
