"""Open the store that a command names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from twotower.corpus.persistent import PersistentCorpus
from twotower.errors import StoreError
from twotower.presets import Retriever
from twotower.store.folder import StoreFolder, is_store


def open_existing(folder: Path, wait: float = 0.0) -> Retriever:
    """Open a store for writing; unlike `Retriever.open`, a folder without one is an error.

    Args:
        folder: the store.
        wait: how many seconds to wait for another process that writes to it.

    Raises:
        StoreError: as `Retriever.open`, or there is no store.
    """
    if not is_store(folder):
        raise StoreError(f"folder '{folder}' holds no store: make one with `twotower index`")
    return Retriever.open(folder, wait=wait)


@contextmanager
def opened_corpus(folder: Path, *, read_only: bool = True, wait: float = 0.0) -> Iterator[PersistentCorpus]:
    """The corpus of a store, without loading its encoder.

    Args:
        folder: the store.
        read_only: write nothing to it.
        wait: how many seconds to wait for another process that writes to it.
    """
    store = StoreFolder.open(folder, read_only=read_only, wait=wait)
    with ExitStack() as closing:
        closing.callback(store.close)
        corpus = PersistentCorpus.of(store)
        closing.callback(corpus.close, settle=False)  # before the store: it may be merging
        yield corpus
