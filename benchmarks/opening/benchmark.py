"""How long a store takes to open and how much memory it holds, for every kind of index.

Each opening is a process of its own. Beside it stands raw FAISS, which reads nothing but the index file of the same
store: no items, no attributes, no checksums. Memory is what the process itself holds after all searches, without
mapped files. The files are in the system's cache: the disk is not measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm, trange

from benchmarks.common.contract import Result, ResultRow, Spread
from benchmarks.common.machine import ROOT, scratch_folder
from benchmarks.common.timing import OURS, QUICK_REPETITIONS, REPETITIONS, rotated
from benchmarks.common.vectors import DIM, K, LookupEncoder, buckets, clustered, exact, make_items
from twotower import Retriever
from twotower.recall.vectors.policy import CODES_ABOVE, SIDE_GRAPH_SHARE, IndexPolicy, estimate_bytes

INDEX_KINDS = ("graph", "graph-8bit", "ivf-pq", "ivf-rabitq")
RAW = "faiss"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Only the size."""
    parser.add_argument("--size", type=int, help=f"number of items, above {CODES_ABOVE} (default: 1000000)")


def run(options: argparse.Namespace) -> Result:
    """Build a store for each kind of index, then open them in turns."""
    size = options.size or (CODES_ABOVE + 1_000 if options.quick else 1_000_000)
    folder = scratch_folder("opening")
    _build(folder, size, 50 if options.quick else 500, seed=options.seed)
    measured: defaultdict[tuple[str, str], list[Mapping[str, float]]] = defaultdict(list)
    turns = list(product((OURS, RAW), INDEX_KINDS))
    repetitions = QUICK_REPETITIONS if options.quick else REPETITIONS
    for turn in trange(repetitions, desc="opening", unit="repetition", disable=None, leave=False):
        for system, kind in rotated(turns, turn):
            measured[system, kind].append(_opened(folder, kind, raw=system == RAW))
    result = Result("opening", options.seed)
    for (system, kind), found in measured.items():
        metrics = {name: Spread.of([each[name] for each in found]) for name in found[0]}
        result.rows.append(ResultRow(system, {"n": size, "dim": DIM, "k": K, "index": kind}, metrics))
    for kind, name in product(INDEX_KINDS, ("open_s", "held_mb")):
        ours, raw = (np.array([each[name] for each in measured[system, kind]]) for system in (OURS, RAW))
        result.ratios[f"{OURS} / {RAW} : {name} n={size} {kind}"] = Spread.of(ours / raw)
    result.headline = _headline(size, measured[OURS, "graph"], result)
    return result


def _build(folder: Path, size: int, queries: int, *, seed: int) -> None:
    """Write a store for each kind of index, the vectors, and the queries' true nearest rows."""
    points = clustered(size, queries, seed=seed)
    np.save(folder / "table.npy", points.table)
    np.save(folder / "truth.npy", exact(points.items, points.queries, K))
    for kind in tqdm(INDEX_KINDS, desc="building", unit="index", disable=None, leave=False):
        memory = estimate_bytes(kind, size, DIM) + estimate_bytes("graph", int(SIDE_GRAPH_SHARE * size), DIM)
        policy = IndexPolicy(memory_bytes=memory, exact_up_to=0)  # too little for the kind before it
        encoder = LookupEncoder(points.table)
        with Retriever.open(folder / kind, encoder=encoder, index=policy, hybrid=None) as retriever:
            retriever.upsert(make_items(buckets(size, seed)), progress=False)
            retriever.maintenance.settle()
            retriever.maintenance.compact()
            (part,) = retriever.maintenance.stats().parts
            assert part.index == kind, f"the policy chose {part.index} where {kind} is measured"


def _opened(folder: Path, kind: str, *, raw: bool) -> Mapping[str, float]:
    files = (folder / kind, folder / "table.npy", folder / "truth.npy")
    command = [sys.executable, "-m", "benchmarks.opening.process", *map(str, files), *["--raw"] * raw]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: Mapping[str, float] = json.loads(done.stdout)
    return found


def _headline(size: int, graph: Sequence[Mapping[str, float]], result: Result) -> str:
    seconds = Spread.of([each["open_s"] for each in graph])
    held = Spread.of([each["held_mb"] / each["index_mb"] for each in graph])
    ratio = result.ratios[f"{OURS} / {RAW} : open_s n={size} graph"]
    return (
        f"A store of {size:,} items opens in {seconds} s, {ratio} times what FAISS takes for its index file "
        f"alone, and holds {held} times the bytes of its index."
    )
