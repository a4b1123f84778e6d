"""How long a store takes to open, and what it holds in memory, for every kind of index that there is.

Each opening is a process of its own. Beside it stands raw FAISS, which reads nothing but the index file of the same
store: no items, no attributes, no checksums. Memory is what the process holds of its own after all searches, without
what is mapped from files. The files are in the system's cache: this is no measure of the disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.common.contract import Result, Row, Spread
from benchmarks.common.machine import ROOT
from benchmarks.common.scratch import scratch_folder
from benchmarks.common.table import print_ratios, print_rows, told
from benchmarks.common.timing import REPETITIONS
from benchmarks.common.vectors import DIM, LookupEncoder, buckets, clustered, exact, make_items
from benchmarks.recall.systems import K
from twotower.presets import Retriever
from twotower.recall.vectors.policy import BESIDE, CODES_ABOVE, IndexPolicy, estimate_bytes

KINDS = ("graph", "graph-8bit", "ivf-pq", "ivf-rabitq")
QUERIES = 500
RAW = "faiss"


@dataclass(frozen=True, slots=True)
class Files:
    """What the processes read: vectors of items and queries, and the queries' true nearest rows."""

    table: Path
    truth: Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the size."""
    parser.add_argument("--size", type=int, help=f"number of items, above {CODES_ABOVE} (default: 1000000)")


def run(options: argparse.Namespace) -> Result:
    """Build a store for each kind of index, then open them in turns."""
    size = options.size or (CODES_ABOVE + 1_000 if options.quick else 1_000_000)
    repetitions = 2 if options.quick else REPETITIONS
    folder = scratch_folder("opening")
    files, stores = _build(folder, size, 50 if options.quick else QUERIES, seed=options.seed)
    measured: defaultdict[tuple[str, str], list[Mapping[str, float]]] = defaultdict(list)
    turns = [(system, kind) for kind in stores for system in ("twotower", RAW)]
    for repetition in tqdm(range(repetitions), desc="open", unit="round", disable=None):
        shift = repetition % len(turns)
        for system, kind in turns[shift:] + turns[:shift]:
            measured[system, kind].append(_opened(stores[kind], files, raw=system == RAW))
    rows = [
        Row(
            system,
            {"n": size, "dim": DIM, "k": K, "index": kind},
            {name: Spread.of([each[name] for each in found]) for name in found[0]},
        )
        for (system, kind), found in measured.items()
    ]
    ratios = {
        f"twotower / {RAW} : {name} n={size} {kind}": Spread.of(
            [
                ours[name] / raw[name]
                for ours, raw in zip(measured["twotower", kind], measured[RAW, kind], strict=True)
            ]
        )
        for kind in stores
        for name in ("open_s", "held_mb")
    }
    print_rows(rows, ("index",))
    print_ratios(ratios)
    return Result("opening", options.seed, rows, _headline(size, measured, ratios), ratios)


def _build(folder: Path, size: int, queries: int, *, seed: int) -> tuple[Files, dict[str, Path]]:
    points = clustered(size, queries, seed=seed)
    files = Files(folder / "table.npy", folder / "truth.npy")
    np.save(files.table, points.table)
    np.save(files.truth, exact(points.items, points.queries, K))
    stores = {}
    items = make_items(buckets(size, seed))
    for kind in tqdm(KINDS, desc="build", unit="index", disable=None):
        memory = estimate_bytes(kind, size, DIM) + estimate_bytes("graph", int(BESIDE * size), DIM)
        policy = IndexPolicy(memory_bytes=memory, exact_up_to=0)  # too little for the kind before it
        stores[kind] = folder / kind
        with Retriever.open(stores[kind], encoder=LookupEncoder(points.table), index=policy) as retriever:
            retriever.upsert(items, progress=False)
            retriever.maintenance.settle()
            retriever.maintenance.compact()
            (part,) = retriever.maintenance.stats().parts
            assert part.index == kind, f"The policy chose {part.index} where {kind} is measured."
        items = make_items(buckets(size, seed))
    return files, stores


def _opened(store: Path, files: Files, *, raw: bool) -> Mapping[str, float]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.opening.process",
        str(store),
        str(files.table),
        str(files.truth),
    ]
    done = subprocess.run(command + ["--raw"] * raw, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: Mapping[str, float] = json.loads(done.stdout)
    return found


def _headline(
    size: int,
    measured: Mapping[tuple[str, str], Sequence[Mapping[str, float]]],
    ratios: Mapping[str, Spread],
) -> str:
    graph = measured["twotower", "graph"]
    seconds = Spread.of([each["open_s"] for each in graph])
    held = Spread.of([each["held_mb"] / each["index_mb"] for each in graph])
    ratio = told(ratios[f"twotower / {RAW} : open_s n={size} graph"])
    return (
        f"A store of {size:,} items opens in {told(seconds)} s, {ratio} times what FAISS takes for its index file "
        f"alone, and holds {told(held)} times the bytes of its index."
    )
