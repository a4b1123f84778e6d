"""The stores that `ingest` compares: the retriever, raw FAISS and hnswlib, filled from one table of vectors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np

from benchmarks.common.contract import Parameter
from benchmarks.common.vectors import K, LookupEncoder, graph_depths, hnswlib_index
from twotower import IndexPolicy, Item, Retriever
from twotower.recall.vectors.graph import LINKS, new_graph
from twotower.store.files import sync
from twotower.types import Vectors


@dataclass(frozen=True, slots=True)
class Store:
    """An open store; items and queries are rows of a table.

    Args:
        upsert: writes the items of some rows.
        delete: removes them; None if the store cannot.
        save: makes everything written so far survive a loss of power.
        settle: waits for background work.
        search: the K nearest items' rows to a row of the table.
        size: number of items.
    """

    upsert: Callable[[Sequence[int]], object]
    delete: Callable[[Sequence[int]], object] | None
    save: Callable[[], object]
    settle: Callable[[], object]
    search: Callable[[int], Sequence[int]]
    size: Callable[[], int]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of store.

    Args:
        name: its fixed name.
        params: its index.
        durable: how it saves.
        open: makes an empty one in a folder; the second argument says whether it will be saved.
    """

    name: str
    params: Mapping[str, Parameter]
    durable: str
    open: Callable[[Path, bool], Store]


def retriever_store(table: Vectors, items: Sequence[Item], *, exact_up_to: int) -> Kind:
    """The engine as a user gets it, in memory or in a store folder, where every write is durable.

    Args:
        table: float32 of shape (rows, dim): items, then queries.
        items: the item of each row.
        exact_up_to: of the retriever's `IndexPolicy`.
    """

    def open_store(folder: Path, durable: bool) -> Store:
        shutil.rmtree(folder, ignore_errors=True)
        encoder, policy = LookupEncoder(table), IndexPolicy(exact_up_to=exact_up_to)
        if durable:
            retriever = Retriever.open(folder, encoder=encoder, index=policy, hybrid=None)
        else:
            retriever = Retriever(encoder, index=policy, hybrid=None)
        return Store(
            upsert=lambda rows: retriever.upsert([items[row] for row in rows], progress=False),
            delete=lambda rows: retriever.delete([items[row].id for row in rows]),
            save=lambda: None,
            settle=retriever.maintenance.settle,
            search=lambda row: [int(hit.id) for hit in retriever.search(str(row), K)],
            size=lambda: len(retriever),
        )

    # Segments of up to `exact_up_to` items stay flat: less work than a graph when writing, more when searching.
    params = {"index": f"segments of HNSW{LINKS} or Flat", "exact_up_to": exact_up_to, **graph_depths()}
    return Kind("twotower", params, "Retriever.open: each write when its call returns", open_store)


def faiss_store(table: Vectors, items: Sequence[Item]) -> Kind:
    """One HNSW graph with the retriever's parameters, and the items' ids in a list; it cannot delete.

    It keeps no items, and does not check whether an id exists already.
    """
    import faiss

    def open_store(folder: Path, durable: bool) -> Store:
        _empty(folder)
        index = new_graph(table.shape[1], "SQfp16")
        ids: list[str] = []

        def upsert(rows: Sequence[int]) -> None:
            vectors = table[rows]
            if not index.is_trained:
                index.train(vectors)
            index.add(vectors)
            ids.extend(items[row].id for row in rows)

        def save() -> None:
            _save(folder, lambda path: faiss.write_index(index, str(path)), ids)

        return Store(
            upsert,
            None,
            save,
            settle=lambda: None,
            search=lambda row: [
                int(ids[place]) for place in index.search(table[row : row + 1], K)[1][0] if place >= 0
            ],
            size=lambda: int(index.ntotal),
        )

    params = {"index": f"HNSW{LINKS}", "dtype": "float16", **graph_depths()}
    return Kind("faiss", params, "write_index and fsync after each chunk: the whole index anew", open_store)


def hnswlib_store(
    table: Vectors, items: Sequence[Item], *, threads: int, seed: int, locked: int | None = None
) -> Kind:
    """A graph of hnswlib over float32, with room for all items from the start, and the items' ids in a list.

    It must not search while it adds, so one lock is around every call.

    Args:
        table: float32 of shape (rows, dim): items, then queries.
        items: the item of each row.
        threads: number of threads that add.
        seed: of its levels.
        locked: how many items it adds before it lets searches in; None is all of a call.
    """
    import hnswlib  # noqa: F401  # so that an installation without it fails here

    def open_store(folder: Path, durable: bool) -> Store:
        _empty(folder)
        index = hnswlib_index(table.shape[1], len(items), seed)
        ids = [item.id for item in items]
        deleted: set[int] = set()
        lock = Lock()

        def upsert(rows: Sequence[int]) -> None:
            step = locked or len(rows)
            for start in range(0, len(rows), step):
                part = rows[start : start + step]
                with lock:
                    index.add_items(table[part], np.asarray(part), num_threads=threads)

        def delete(rows: Sequence[int]) -> None:
            with lock:
                for row in rows:
                    index.mark_deleted(row)
                deleted.update(rows)

        def search(row: int) -> Sequence[int]:
            with lock:
                labels, _ = index.knn_query(table[row], K, num_threads=1)
            return [int(ids[label]) for label in labels[0].tolist()]

        def save() -> None:
            _save(folder, lambda path: index.save_index(str(path)), ids)

        return Store(
            upsert, delete, save, lambda: None, search, size=lambda: int(index.element_count) - len(deleted)
        )

    params = {"index": f"HNSW{LINKS}", "dtype": "float32", "locked": locked, **graph_depths()}
    return Kind("hnswlib", params, "save_index and fsync after each chunk: the whole index anew", open_store)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _save(folder: Path, write_index: Callable[[Path], object], ids: Sequence[str]) -> None:
    """Write index and ids, each completely or not at all, and onto the disk."""
    for name, write in (
        ("index", write_index),
        ("ids", lambda path: path.write_text(json.dumps(ids), encoding="utf-8")),
    ):
        partial = folder / f"{name}.partial"
        write(partial)
        sync(partial)
        partial.replace(folder / name)
        sync(folder)
