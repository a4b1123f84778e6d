"""Open the store that a command names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from twotower.corpus.persistent import PersistentCorpus
from twotower.errors import StoreError
from twotower.presets import Retriever
from twotower.store.folder import StoreFolder, is_store


def open_existing(folder: Path) -> Retriever:
    """Open a store for writing; unlike `Retriever.open`, a folder without one is an error.

    Raises:
        StoreError: as `Retriever.open`, or there is no store.
    """
    if not is_store(folder):
        raise StoreError(f"folder '{folder}' holds no store: make one with `twotower index`")
    return Retriever.open(folder)


@contextmanager
def opened_corpus(folder: Path, *, read_only: bool = True) -> Iterator[PersistentCorpus]:
    """The corpus of a store, without the encoder that it was made with."""
    store = StoreFolder.open(folder, read_only=read_only)
    with ExitStack() as closing:
        closing.callback(store.close)
        corpus = PersistentCorpus.of(store)
        closing.callback(corpus.close, settle=False)  # before the store: it may be merging
        yield corpus
