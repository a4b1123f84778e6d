"""Pairs to train on, and a corpus to search."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.common.data import Dataset
from benchmarks.train.sentence_transformers_trainer import Pairs
from multimodal.text_normalization import normalize_text
from twotower.types import Item


def training_pairs(train: Dataset, held_out: Iterable[str], relevant: int) -> Pairs:
    """The judgements of at least this grade as texts, without the queries that are evaluated, whatever their ids.

    Raises:
        ValueError: there is none.
    """
    words = {item.id: normalize_text(item.words) for item in train.items}
    unseen = {_folded(query) for query in held_out}
    pairs = [
        (normalize_text(train.queries[query].text), words[item])
        for query, grades in train.qrels.items()
        for item, grade in grades.items()
        if grade >= relevant and words.get(item) and _folded(train.queries[query].text) not in unseen
    ]
    if not pairs:
        raise ValueError(f"data '{train.name}' has no judgement of grade {relevant} or more to train on")
    return pairs


def sampled_corpus(data: Dataset, size: int, seed: int) -> list[Item]:
    """The judged products and a random sample of the others, `size` in all where there are so many."""
    judged = {item for grades in data.qrels.values() for item in grades}
    kept = np.array([item.id in judged for item in data.items])
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~kept))
    kept[others[: max(size - int(kept.sum()), 0)]] = True
    return [data.items[row] for row in np.flatnonzero(kept)]


def _folded(query: str) -> str:
    return " ".join(normalize_text(query).casefold().split())
