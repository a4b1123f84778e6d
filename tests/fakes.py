"""Stand-ins at the seams that a user may fill: no model, no network, answers known by construction."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from twotower.types import Item


def hashed_vector(text: str, dim: int) -> NDArray[np.float32]:
    """Character trigrams hashed into `dim` signed buckets, and a constant so that it is never zero."""
    vector = np.zeros(dim, dtype=np.float32)
    vector[0] = 0.1
    padded = f"  {text.lower()} "
    for start in range(len(padded) - 2):
        code = zlib.crc32(padded[start : start + 3].encode())
        vector[code % dim] += 1.0 if code & 0x10000 else -1.0
    return vector


class HashEncoder:
    """A user's own encoder at its smallest: three names and no base class."""

    def __init__(self, dim: int = 32) -> None:
        self.dim = dim

    def encode_items(self, items: Sequence[Item]) -> NDArray[np.float32]:
        return self._encode([item.words for item in items])

    def encode_queries(self, queries: Sequence[str]) -> NDArray[np.float32]:
        return self._encode(queries)

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([hashed_vector(text, self.dim) for text in texts], dtype=np.float32).reshape(
            -1, self.dim
        )


class PlaneEncoder:
    """Items and queries lie at the angle (in degrees) that their words are, in planes that turn 1, 2, ... times."""

    def __init__(self, waves: int = 1) -> None:
        self.dim = 2 * waves

    def encode_items(self, items: Sequence[Item]) -> NDArray[np.float32]:
        return self._encode([item.title for item in items])

    def encode_queries(self, queries: Sequence[str]) -> NDArray[np.float32]:
        return self._encode(queries)

    def _encode(self, angles: Sequence[str]) -> NDArray[np.float32]:
        turns = np.outer(np.radians([float(angle) for angle in angles]), 1 + np.arange(self.dim // 2))
        return np.concatenate([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


class OverlapReranker:
    """Relevance is the share of the query's words that the text has."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        return np.array([_overlap(query, text) for query, text in pairs], dtype=np.float32)


def _overlap(query: str, text: str) -> float:
    words = set(query.lower().split())
    return len(words & set(text.lower().split())) / len(words)
