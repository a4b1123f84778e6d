"""A process that opens an index and searches it: `python -m benchmarks.opening.process FOLDER TABLE TRUTH [--raw]`.

TABLE is a .npy file of items and queries, TRUTH one of the queries' true nearest rows. It writes JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import faiss
import numpy as np

from benchmarks.common.machine import held_mb
from benchmarks.common.vectors import K, LookupEncoder, recall_at_k
from twotower import Retriever


def measure(folder: Path, table_file: Path, truth_file: Path, *, raw: bool) -> dict[str, float]:
    """Open a store, or with `raw` nothing but the FAISS index in it, and search."""
    table, truth = np.load(table_file, mmap_mode="r"), np.load(truth_file)
    faiss.omp_set_num_threads(1)
    search: Callable[[int], Sequence[int]]
    held, began = held_mb("RssAnon"), time.perf_counter()
    if raw:
        (path,) = folder.glob("generation-*/0.faiss")
        index = faiss.read_index(str(path))
        opened, index_bytes = time.perf_counter(), path.stat().st_size

        def search(row: int) -> Sequence[int]:
            found: list[int] = index.search(np.array(table[row : row + 1]), K)[1][0].tolist()
            return found
    else:
        retriever = Retriever.open(folder, encoder=LookupEncoder(table), read_only=True, hybrid=None)
        opened = time.perf_counter()
        index_bytes = sum(part.index_bytes for part in retriever.maintenance.stats().parts)

        def search(row: int) -> Sequence[int]:
            return [int(hit.id) for hit in retriever.search(str(row), K)]

    found, seconds = [], []
    for row in range(len(table) - len(truth), len(table)):
        start = time.perf_counter()
        found.append(search(row))
        seconds.append(time.perf_counter() - start)
    return {
        "open_s": opened - began,
        "first_search_ms": 1000 * seconds[0],
        "p50_ms": 1000 * float(np.median(seconds)),
        f"recall@{K}": recall_at_k(found, truth),
        "held_mb": held_mb("RssAnon") - held,
        "index_mb": index_bytes / 1e6,
    }


if __name__ == "__main__":
    print(json.dumps(measure(*map(Path, sys.argv[1:4]), raw="--raw" in sys.argv)))
