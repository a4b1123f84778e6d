"""`twotower stats|verify|compact|export`: what can be done with a store without its models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from twotower.errors import StoreError
from twotower.retriever import Retriever
from twotower.store.folder import Store, is_store
from twotower.store.records import item_to_row
from twotower.stored_corpus import StoredCorpus


def open_existing(folder: Path) -> Retriever:
    """Open a store for writing; unlike `Retriever.open`, a folder without one is an error.

    Raises:
        StoreError: as `Retriever.open`, or there is no store.
    """
    if not is_store(folder):
        raise StoreError(f"folder '{folder}' holds no store: make one with `twotower index`")
    return Retriever.open(folder)


@contextmanager
def opened(folder: Path, *, read_only: bool = True) -> Iterator[StoredCorpus]:
    """The corpus of a store, without the encoder that it was made with."""
    store = Store.open(folder, read_only=read_only)
    try:
        settings = store.catalog.settings
        yield StoredCorpus(store, settings["dim"], graph_above=settings["graph_above"])
    finally:
        store.close()


def stats(folder: Path) -> Iterator[str]:
    """How large a store is, in words."""
    with opened(folder) as corpus:
        yield from corpus.stats().lines()


def verify(folder: Path) -> list[str]:
    """What is wrong with a store, one sentence each; every byte of it is read."""
    with opened(folder) as corpus:
        return list(corpus.problems())


def compact(folder: Path) -> Iterator[str]:
    """Drop what was deleted and replaced; says what is left."""
    with opened(folder, read_only=False) as corpus:
        corpus.compact()
        yield from corpus.stats().lines()


def export(folder: Path, catalog: Path, vectors: Path | None) -> int:
    """Write a store's items as a catalogue that `twotower index` reads.

    Args:
        folder: the store.
        catalog: a new .jsonl file.
        vectors: a new .safetensors file for the items' vectors, in the same order; None writes none.

    Returns:
        How many items were written.

    Raises:
        StoreError: a file is there already, or cannot be written.
    """
    from safetensors.numpy import save_file

    written, rows = 0, []
    try:
        with (
            opened(folder) as corpus,
            corpus.rows() as (_, found),
            catalog.open("x", encoding="utf-8") as file,
        ):
            for _, item, vector in found:
                file.write(json.dumps(item_to_row(item), ensure_ascii=False) + "\n")
                written += 1
                if vectors is not None:
                    rows.append(vector)
        if vectors is not None:
            table = np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)
            save_file({"vectors": table}, vectors)
    except FileExistsError:
        raise StoreError(f"file '{catalog}' exists: pass another name") from None
    return written
