"""Pairs to train on, and a corpus to search."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.common.data import Dataset
from benchmarks.train.sentence_transformers_trainer import Pairs
from multimodal.text.normalization import normalize_text
from twotower.types import Item


def training_pairs(train: Dataset, held_out: Iterable[str], relevant: int) -> Pairs:
    """The relevant judgements as texts, without queries that are evaluated on, whatever their ids.

    Args:
        train: the split to train on.
        held_out: texts of the evaluated queries.
        relevant: least grade of a pair.

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
        raise ValueError(f"data '{train.folder}' has no judgement of grade {relevant} or more to train on")
    return pairs


def sampled_corpus(data: Dataset, size: int, seed: int) -> list[Item]:
    """The judged products and a random sample of the others, `size` in all where there are so many."""
    judged = {item for grades in data.qrels.values() for item in grades}
    others = [row for row, item in enumerate(data.items) if item.id not in judged]
    there = len(data.items) - len(others)
    count = min(len(others), max(size - there, 0))
    chosen = set(np.random.default_rng(seed).choice(len(others), count, replace=False).tolist())
    left_out = {others[place] for place in range(len(others)) if place not in chosen}
    return [item for row, item in enumerate(data.items) if row not in left_out]


def _folded(query: str) -> str:
    return " ".join(normalize_text(query).casefold().split())
