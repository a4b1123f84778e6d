"""Labelled pairs: read from JSON lines, split by query, or made up."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pair: TypeAlias = tuple[str, str]
NOT = "不"
FILLERS = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"


@dataclass(frozen=True, slots=True)
class Labelled:
    """Pairs of texts with their labels.

    Args:
        pairs: n pairs.
        labels: at least 0, shape (n,); higher is nearer in meaning.
    """

    pairs: Sequence[Pair]
    labels: NDArray[np.float64]

    def rows(self, rows: NDArray[np.intp]) -> Labelled:
        """These rows alone, in this order."""
        return Labelled([self.pairs[row] for row in rows], self.labels[rows])

    def first(self, count: int) -> Labelled:
        """The first so many of them."""
        return Labelled(self.pairs[:count], self.labels[:count])


def read_pairs(path: Path) -> Labelled:
    """Read JSON lines of "query", "title" and "label", a number of at least 0.

    Raises:
        ValueError: a line is something else; the message names it.
    """
    pairs, labels = [], []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            pair, label = _parsed(line, f"{path.name}, line {number}")
            pairs.append(pair)
            labels.append(label)
    if len(set(labels)) < 2:
        raise ValueError(f"{path.name} needs pairs of at least two labels; it has {len(set(labels))}.")
    return Labelled(pairs, np.array(labels))


def unseen(train: Labelled, dev: Labelled) -> Labelled:
    """The training pairs that are not in `dev`, in either order and whatever their case and width."""
    tested = {_key(pair) for pair in dev.pairs}
    kept = [row for row, pair in enumerate(train.pairs) if _key(pair) not in tested]
    return train.rows(np.array(kept, dtype=np.intp))


def split(data: Labelled, share: float, seed: int) -> tuple[Labelled, Labelled]:
    """Most of the pairs, and a share of them with whose queries no other pair begins."""
    from sklearn.model_selection import GroupShuffleSplit

    _, groups = np.unique([query for query, _ in data.pairs], return_inverse=True)
    splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
    rest, part = next(splitter.split(groups, groups=groups))
    return data.rows(rest), data.rows(part)


def made_up(count: int, seed: int) -> Labelled:
    """Pairs that mean the same, 1, except where one of the two texts says "not", once or more.

    About a third are 1. Every text has seven characters, the others random.
    """
    rng = np.random.default_rng(seed)
    texts = rng.choice(list(FILLERS), size=(count, 2, 7))
    same = rng.random(count) < 1 / 3
    others = np.flatnonzero(~same)
    one = rng.integers(2, size=len(others))
    for _ in range(3):
        texts[others, one, rng.integers(7, size=len(others))] = NOT
    pairs = [("".join(query), "".join(title)) for query, title in texts]
    return Labelled(pairs, same.astype(np.float64))


def folded(text: str) -> str:
    """Unicode form NFKC, case folded."""
    return unicodedata.normalize("NFKC", text).casefold()


def _parsed(line: str, where: str) -> tuple[Pair, float]:
    try:
        row: dict[str, Any] = json.loads(line)
        query, title, label = row["query"], row["title"], float(row["label"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{where} is no object of "query", "title" and "label" ({error}).') from None
    if not (isinstance(query, str) and isinstance(title, str)):
        raise ValueError(f'{where}: "query" and "title" are strings.')
    if not (math.isfinite(label) and label >= 0):
        raise ValueError(f"{where}: the label is {label:g}; it must be a finite number of at least 0.")
    return (query, title), label


def _key(pair: Pair) -> frozenset[str]:
    return frozenset(map(folded, pair))
