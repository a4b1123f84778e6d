"""`python -m benchmarks NAME ...`: run one benchmark, write one result file, print its tables and one sentence."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module

BENCHMARKS = {
    "search": "quality of every stage on a BEIR folder",
    "pipeline": "end-to-end queries per second and latency, recall and rerank",
    "recall": "vector search beside raw faiss, hnswlib and usearch",
    "ingest": "items per second into the store, with concurrent searches",
    "opening": "time to open a store and memory held, by kind of index",
    "crash": "what a store loses when its writer is killed at any moment",
    "rerank": "pairs per second of the cross-encoder",
    "encode": "texts and images per second",
    "train": "training examples per second and quality after a fixed budget",
    "recommend": "next-basket quality",
    "multimodal": "text, image and every fusion, with missing modalities",
}
TOOLS = {"report": "draw the tables of benchmarks/README.md from the results, or of given result files"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark or tool.

    A benchmark is a folder whose module `benchmark` has `OPTIONS` and `run(options) -> Result`; the module `command`
    of a tool has `main(argv) -> int`.
    """
    name, *rest = _named(sys.argv[1:] if argv is None else argv)
    if name in TOOLS:
        return int(import_module(f"benchmarks.{name}.command").main(rest))
    from benchmarks.common import contract
    from benchmarks.common.machine import pin_threads
    from benchmarks.report import tables

    options = read_options(name, rest)
    pin_threads(options.threads)
    result = import_module(f"benchmarks.{name}.benchmark").run(options)
    path = contract.write(result, options.out)
    file = tables.read(path)
    print(f"{tables.row_tables(file)}\n\n{tables.ratio_table(file)}\n")
    print(path, file=sys.stderr)
    print(result.headline)
    return 0


def read_options(name: str, argv: Sequence[str] = ()) -> Namespace:
    """The options of one benchmark."""
    from benchmarks.common.options import parse

    return parse(name, BENCHMARKS[name], import_module(f"benchmarks.{name}.benchmark").OPTIONS, argv)


def _named(argv: Sequence[str]) -> list[str]:
    """The arguments, after a check that they begin with the name of a benchmark or tool."""
    overview = ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<12}{text}" for name, text in (BENCHMARKS | TOOLS).items()),
    )
    overview.add_argument("name", metavar="NAME", choices=[*BENCHMARKS, *TOOLS], help="see below")
    overview.parse_args(argv[:1])
    return list(argv)


if __name__ == "__main__":
    sys.exit(main())
