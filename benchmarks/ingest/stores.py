"""The stores that `ingest` compares: the retriever, raw FAISS and hnswlib, filled from one table of vectors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from benchmarks.common.contract import Params
from benchmarks.common.vectors import GRAPH, K, LookupEncoder, Points, hnswlib_index
from twotower import IndexPolicy, Retriever
from twotower.recall.vectors.graph import LINKS, new_graph
from twotower.store.files import sync

ANEW = "and fsync after each chunk: the whole index anew"


def nothing() -> None:
    """For a store that has nothing to do."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open store; items and queries are rows of a table."""

    upsert: Callable[[Sequence[int]], object]  # writes the items of some rows
    search: Callable[[int], Sequence[int]]  # the K nearest items' rows to a row of the table
    size: Callable[[], int]  # number of items
    delete: Callable[[Sequence[int]], object] | None = None  # None if the store cannot
    save: Callable[[], object] = nothing  # makes everything written so far survive a loss of power
    settle: Callable[[], object] = nothing  # waits for background work


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of store."""

    name: str
    params: Params  # of its index
    durable: str  # how it saves
    open: Callable[[Path, bool], Store]  # an empty one in a folder, and whether it will be saved


def retriever_store(points: Points, *, exact_up_to: int) -> Kind:
    """The engine as a user gets it, in memory or in a store folder, where every write is durable."""
    items = list(points.catalogue())

    def open_store(folder: Path, durable: bool) -> Store:
        shutil.rmtree(folder, ignore_errors=True)
        encoder, policy = LookupEncoder(points.table), IndexPolicy(exact_up_to=exact_up_to)
        if durable:
            retriever = Retriever.open(folder, encoder=encoder, index=policy, hybrid=None)
        else:
            retriever = Retriever(encoder, index=policy, hybrid=None)
        return Store(
            lambda rows: retriever.upsert([items[row] for row in rows], progress=False),
            lambda row: [int(hit.id) for hit in retriever.search(str(row), K)],
            lambda: len(retriever),
            delete=lambda rows: retriever.delete([items[row].id for row in rows]),
            settle=retriever.maintenance.settle,
        )

    # Segments of up to `exact_up_to` items stay flat: less work than a graph when writing, more when searching.
    params = {**GRAPH, "index": f"segments of HNSW{LINKS} or Flat", "exact_up_to": exact_up_to}
    return Kind("twotower", params, "Retriever.open: each write when its call returns", open_store)


def faiss_store(points: Points) -> Kind:
    """One HNSW graph with the retriever's parameters, and the items' ids in a list; it cannot delete.

    It keeps no items, and does not check whether an id exists already.
    """
    import faiss

    names = [str(row) for row in range(points.size)]

    def open_store(folder: Path, durable: bool) -> Store:
        _empty(folder)
        index = new_graph(points.dim, "SQfp16")
        ids: list[str] = []

        def upsert(rows: Sequence[int]) -> None:
            vectors = points.table[rows]
            if not index.is_trained:
                index.train(vectors)
            index.add(vectors)
            ids.extend(names[row] for row in rows)

        def search(row: int) -> Sequence[int]:
            return [
                int(ids[place]) for place in index.search(points.table[row : row + 1], K)[1][0] if place >= 0
            ]

        def save() -> None:
            _save(folder, lambda path: faiss.write_index(index, str(path)), ids)

        return Store(upsert, search, lambda: int(index.ntotal), save=save)

    return Kind("faiss", {**GRAPH, "dtype": "float16"}, f"write_index {ANEW}", open_store)


def hnswlib_store(points: Points, *, threads: int, seed: int, locked: int | None = None) -> Kind:
    """A graph of hnswlib over float32, with room for all items from the start, and the items' ids in a list.

    It must not search while it adds, so one lock is around every call; `locked` is how many items it adds before it
    lets searches in, None all of a call.
    """

    def open_store(folder: Path, durable: bool) -> Store:
        _empty(folder)
        index = hnswlib_index(points.dim, points.size, seed)
        ids = [str(row) for row in range(points.size)]
        deleted: set[int] = set()
        lock = Lock()

        def upsert(rows: Sequence[int]) -> None:
            step = locked or len(rows)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                with lock:
                    index.add_items(points.table[part], np.asarray(part), num_threads=threads)

        def delete(rows: Sequence[int]) -> None:
            with lock:
                for row in rows:
                    index.mark_deleted(row)
                deleted.update(rows)

        def search(row: int) -> Sequence[int]:
            with lock:
                labels, _ = index.knn_query(points.table[row], K, num_threads=1)
            return [int(ids[label]) for label in labels[0].tolist()]

        def save() -> None:
            _save(folder, lambda path: index.save_index(str(path)), ids)

        return Store(
            upsert, search, lambda: int(index.element_count) - len(deleted), delete=delete, save=save
        )

    return Kind("hnswlib", {**GRAPH, "dtype": "float32", "locked": locked}, f"save_index {ANEW}", open_store)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _save(folder: Path, write_index: Callable[[Path], object], ids: Sequence[str]) -> None:
    """Write index and ids, each completely or not at all, and onto the disk."""

    def write_ids(path: Path) -> None:
        path.write_text(json.dumps(ids), encoding="utf-8")

    for name, write in (("index", write_index), ("ids", write_ids)):
        partial = folder / f"{name}.partial"
        write(partial)
        sync(partial)
        partial.replace(folder / name)
        sync(folder)
