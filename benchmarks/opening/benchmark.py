"""How long a store takes to open and how much memory it holds, for every kind of index.

Each opening is a process of its own. The peer is raw FAISS, which reads nothing but the index file of the same store:
no items, no attributes, no checksums. Memory is what the process itself holds after all searches, without
mapped files. The files are in the system's cache: the disk is not measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm, trange

from benchmarks.common import timing
from benchmarks.common.contract import Result, Spread
from benchmarks.common.machine import ROOT, scratch_folder
from benchmarks.common.options import Option
from benchmarks.common.timing import OURS
from benchmarks.common.vectors import DIM, K, LookupEncoder, clustered, exact
from twotower import Retriever
from twotower.recall.vectors.policy import CODES_ABOVE, SIDE_GRAPH_SHARE, IndexPolicy, estimate_bytes

INDEX_KINDS = ("graph", "graph-8bit", "ivf-pq", "ivf-rabitq")
RAW = "faiss"
OPTIONS = (
    Option("--size", f"number of items, above {CODES_ABOVE}", 1_000_000, quick=CODES_ABOVE + 1_000),
    Option("--queries", "searches after each opening", 500, quick=50),
)


def run(options: Namespace) -> Result:
    """Build a store for each kind of index, then open them in turns."""
    size, folder = options.size, scratch_folder("opening")
    _build(folder, options)
    found: defaultdict[tuple[str, str], list[Mapping[str, float]]] = defaultdict(list)
    turns = list(product((OURS, RAW), INDEX_KINDS))
    repetitions = timing.repetitions_of(options)
    for turn in trange(repetitions, desc="opening", unit="repetition", disable=None, leave=False):
        for system, kind in timing.rotated(turns, turn):
            found[system, kind].append(_opened(folder, kind, raw=system == RAW))
    measured = {  # by system and kind, then by metric, shape (repetitions,)
        key: {name: np.array([each[name] for each in openings]) for name in openings[0]}
        for key, openings in found.items()
    }
    result = Result("opening", options.seed)
    for (system, kind), metrics in measured.items():
        params = {"n": size, "dim": DIM, "k": K, "index": kind}
        result.add(system, params, {name: Spread.of(values) for name, values in metrics.items()})
    for kind, name in product(INDEX_KINDS, ("open_s", "held_mb")):
        values = {system: measured[system, kind][name] for system in (OURS, RAW)}
        result.ratios |= timing.ratios(f"{name} n={size} {kind}", values, timing.time_ratio)
    graph = measured[OURS, "graph"]
    result.headline = (
        f"A store of {size:,} items opens in {Spread.of(graph['open_s'])} s, "
        f"{result.ratios[f'{OURS} / {RAW} : open_s n={size} graph']} times what FAISS takes for its index file "
        f"alone, and holds {Spread.of(graph['held_mb'] / graph['index_mb'])} times the bytes of its index."
    )
    return result


def _build(folder: Path, options: Namespace) -> None:
    """Write a store for each kind of index, the vectors, and the queries' true nearest rows."""
    size = options.size
    points = clustered(size, options.queries, seed=options.seed)
    np.save(folder / "table.npy", points.table)
    np.save(folder / "truth.npy", exact(points.items, points.queries, K))
    for kind in tqdm(INDEX_KINDS, desc="building", unit="index", disable=None, leave=False):
        memory = estimate_bytes(kind, size, DIM) + estimate_bytes("graph", int(SIDE_GRAPH_SHARE * size), DIM)
        policy = IndexPolicy(memory_bytes=memory, exact_up_to=0)  # too little for the kind before it
        encoder = LookupEncoder(points.table)
        with Retriever.open(folder / kind, encoder=encoder, index=policy, hybrid=None) as retriever:
            retriever.upsert(points.catalogue(), progress=False)
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
