"""The command line: every option has one default, and one for `--quick`; options of several benchmarks are here."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from multimodal.hub import DEFAULT_TEXT_MODEL


class Option:
    """One option, whose default also gives its type; settings are argparse's own."""

    def __init__(
        self, flag: str, text: str, default: Any = None, *, quick: Any = None, **settings: Any
    ) -> None:
        self.flag = flag
        self.default, self.quick = default, default if quick is None else quick
        shown = "" if default is None or default is False else f"default: {default}"
        if self.quick != default:
            shown = f"{shown or 'default: all'}; quick: {self.quick}"
        self.settings = {"help": f"{text} ({shown})" if shown else text, **settings}
        if "action" not in settings and self.quick is not None:
            self.settings.setdefault("type", type(self.quick))

    def add_to(self, parser: ArgumentParser, *, quick: bool) -> None:
        """Declare it."""
        parser.add_argument(self.flag, default=self.quick if quick else self.default, **self.settings)


COMMON = (
    Option("--out", "result file (default: benchmarks/results/NAME-<utc>.json)", type=Path),
    Option("--quick", "a run of under a minute, to see that it works", False, action="store_true"),
    Option("--seed", "seed of all randomness", 0),
    Option("--threads", "threads of every library", len(os.sched_getaffinity(0))),
)
DEVICE = Option("--device", "device, such as cpu or cuda", "cpu")
TEXT_MODEL = Option("--text-model", "sentence-transformers folder or hub name", DEFAULT_TEXT_MODEL)
IMAGE_MODEL = Option(
    "--image-model", "open_clip ARCHITECTURE/PRETRAINED, local-dir:FOLDER, or our own small one", "compact"
)
RERANKER = Option("--reranker", "cross-encoder folder or hub name (default: none)")
RERANKING = (
    RERANKER,
    Option("--backend", "back end of our reranker, such as onnx-int8 (default: torch)"),
    Option("--student", "folder of a smaller cross-encoder made by `distil` (default: none)"),
    Option(
        "--student-depth", "candidates that the student reads, then --reranker", (100, 20),
        type=int, nargs=2, metavar=("N", "M"),
    ),
    Option("--lexical-weight", "lexical weight of Convex for hybrid recall, instead of the default", type=float),
    Option("--store", "folder of a store with the data's items, instead of encoding them"),
    DEVICE,
)  # fmt: skip
DATA = Option("--data", "BEIR folder (default: the sample shop of `twotower demo`)", type=Path)
SPLIT = Option("--split", "name of the qrels file", "dev")
COUNTING = (
    Option("--relevant", "lowest relevant grade", 1),
    Option("--gain", "gain of nDCG; linear is trec_eval's", "linear", choices=("linear", "exponential")),
)
JUDGED_DATA = (
    DATA,
    SPLIT,
    Option("--where", "search only items with these attributes (JSON)", type=json.loads),
    *COUNTING,
)
INPUTS = (  # of a benchmark of speed
    Option("--data", "BEIR folder to take the inputs from (default: made up)", type=Path),
    SPLIT,
    DEVICE,
)


def parse(name: str, description: str, options: Iterable[Option], argv: Sequence[str]) -> Namespace:
    """Read a benchmark's command line."""
    parser = ArgumentParser(prog=f"python -m benchmarks {name}", description=description, allow_abbrev=False)
    for option in (*COMMON, *options):
        option.add_to(parser, quick="--quick" in argv)
    return parser.parse_args(argv)
