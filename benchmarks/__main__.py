"""`python -m benchmarks NAME ...`: run one benchmark, write one result file, print its tables and one sentence."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

BENCHMARKS = {
    "search": "quality of every stage on a BEIR folder",
    "pipeline": "end-to-end queries per second and latency, recall and rerank",
    "recall": "vector search beside raw faiss, hnswlib and usearch",
    "ingest": "items per second into the store, with concurrent searches",
    "opening": "time to open a store and memory that it holds, by kind of index",
    "crash": "what a store lost after its writer was killed at any moment",
    "rerank": "pairs per second of the cross-encoder",
    "encode": "texts and images per second",
    "train": "training examples per second and quality after a fixed budget",
    "recommend": "next-basket quality",
    "multimodal": "text, image and every fusion, with missing modalities",
}
TOOLS = {"report": "draw the tables of benchmarks/README.md from the results, or of given result files"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one benchmark or tool.

    A benchmark is a folder whose module `benchmark` has `add_arguments(parser)` and `run(options) -> Result`; the
    module `command` of a tool has `main(argv) -> int`.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    overview = argparse.ArgumentParser(
        prog="python -m benchmarks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {name:<12}{text}" for name, text in (BENCHMARKS | TOOLS).items()),
    )
    overview.add_argument("name", metavar="NAME", choices=[*BENCHMARKS, *TOOLS], help="see below")
    name = overview.parse_args(argv[:1]).name
    if name in TOOLS:
        return int(importlib.import_module(f"benchmarks.{name}.command").main(argv[1:]))
    from benchmarks.common import arguments, contract
    from benchmarks.common.machine import pin_threads
    from benchmarks.report import tables

    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=BENCHMARKS[name])
    arguments.add_common(parser)
    benchmark = importlib.import_module(f"benchmarks.{name}.benchmark")
    benchmark.add_arguments(parser)
    options = parser.parse_args(argv[1:])
    pin_threads(options.threads)
    result = benchmark.run(options)
    path = contract.write(result, options.out)
    file = tables.read(path)
    print(f"{tables.row_tables(file)}\n\n{tables.ratio_table(file)}\n")
    print(path, file=sys.stderr)
    print(result.headline)
    return 0


if __name__ == "__main__":
    sys.exit(main())
