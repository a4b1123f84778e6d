"""`twotower stats|verify|compact|export`: look after a store without loading its models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from twotower.corpus.persistent import PersistentCorpus
from twotower.errors import StoreError
from twotower.presets import Retriever
from twotower.store.folder import StoreFolder, is_store
from twotower.store.records import item_to_row
from twotower.types import Vectors


def open_existing(folder: Path) -> Retriever:
    """Open a store for writing; unlike `Retriever.open`, a folder without one is an error.

    Raises:
        StoreError: as `Retriever.open`, or there is no store.
    """
    if not is_store(folder):
        raise StoreError(f"folder '{folder}' holds no store: make one with `twotower index`")
    return Retriever.open(folder)


@contextmanager
def opened(folder: Path, *, read_only: bool = True) -> Iterator[PersistentCorpus]:
    """The corpus of a store, without the encoder that it was made with."""
    store = StoreFolder.open(folder, read_only=read_only)
    with ExitStack() as closing:
        closing.callback(store.close)
        corpus = PersistentCorpus.of(store)
        closing.callback(corpus.close, settle=False)  # before the store: it may be merging
        yield corpus


def stats(folder: Path) -> Iterator[str]:
    """How large a store is, as text."""
    with opened(folder) as corpus:
        yield from corpus.stats().lines()


def verify(folder: Path) -> list[str]:
    """Read every byte of a store; returns what is damaged, one sentence each."""
    with opened(folder) as corpus:
        return list(corpus.problems())


def compact(folder: Path) -> Iterator[str]:
    """Remove deleted and replaced items; returns the statistics afterwards."""
    with opened(folder, read_only=False) as corpus:
        corpus.compact()
        yield from corpus.stats().lines()


def export(folder: Path, catalogue: Path, vectors: Path | None) -> int:
    """Write a store's items as a catalogue that `twotower index` reads.

    Args:
        folder: the store.
        catalogue: a new .jsonl file.
        vectors: a new .safetensors file for the items' vectors, in the same order; None writes none.

    Returns:
        The number of items written.

    Raises:
        StoreError: the catalogue is not named .jsonl, or a file already exists or cannot be written.
    """
    from safetensors.numpy import save_file

    if catalogue.suffix != ".jsonl":
        raise StoreError(f"export writes JSON Lines: give '{catalogue}' a name that ends in .jsonl")
    targets = [catalogue] if vectors is None else [catalogue, vectors]
    if taken := [path for path in targets if path.exists()]:
        raise StoreError(f"file '{taken[0]}' already exists: pass another name")
    parts = [path.with_name(f"{path.name}.part") for path in targets]
    rows: list[Vectors] = []
    written = 0
    try:
        with (
            opened(folder) as corpus,
            corpus.rows() as (_, found),
            parts[0].open("w", encoding="utf-8") as file,
        ):
            for stored in found:
                file.write(json.dumps(item_to_row(stored.item), ensure_ascii=False) + "\n")
                written += 1
                if vectors is not None:
                    rows.append(stored.vector)
        if vectors is not None:
            save_file({"vectors": np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)}, parts[1])
        for part, path in zip(parts, targets, strict=True):
            part.replace(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"store '{folder}' cannot be exported to '{catalogue}' ({error})") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return written
