"""A retriever that holds the data's items."""

from __future__ import annotations

import argparse

from benchmarks.common.data import Dataset
from twotower import DualEncoder, Retriever


def add_store(parser: argparse.ArgumentParser) -> None:
    """Where they may be already."""
    parser.add_argument("--store", help="folder of a store with the data's items, instead of encoding them")


def indexed(encoder: DualEncoder, data: Dataset, options: argparse.Namespace) -> Retriever:
    """The items in memory, or the store of `--store`, without any stage after dense recall.

    Raises:
        ValueError: the store holds another number of items.
    """
    if options.store is None:
        retriever = Retriever(encoder)
        retriever.upsert(data.items, on_error="skip")
        return retriever
    retriever = Retriever.open(options.store, encoder=encoder, read_only=True)
    if len(retriever) != len(data.items):
        raise ValueError(f"{options.store} holds {len(retriever)} items, the data {len(data.items)}.")
    return retriever.using(hybrid=None, decay=None)
