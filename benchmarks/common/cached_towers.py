"""Towers that encode each text and photo once, for a benchmark that indexes the same items many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal import ClipEncoder
from twotower.towers.parts import TextTower
from twotower.types import Vectors


class Cached:
    """A tower whose encoding methods look vectors up and encode only new inputs; all else is the tower's own."""

    def __init__(self, tower: Any, **encode: Callable[[list[Any]], Vectors]) -> None:
        self._tower = tower
        for name, function in encode.items():
            setattr(self, name, _remembering(function, tower.dim))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tower, name)


def cached_texts(tower: TextTower) -> Cached:
    """A text tower with a cache."""
    return Cached(tower, encode_queries=tower.encode_queries, encode_documents=tower.encode_documents)


def cached_photos(clip: ClipEncoder) -> Cached:
    """A CLIP encoder with a cache; photos are known by their paths and opened when they are encoded."""
    cached = Cached(
        clip,
        encode_images=lambda paths: clip.encode_images(map(clip.load, paths)),
        encode_texts=clip.encode_texts,
    )
    cached.load = lambda source: source
    return cached


def _remembering(encode: Callable[[list[str]], Vectors], dim: int) -> Callable[[Sequence[Any]], Vectors]:
    known: dict[str, Vectors] = {}

    def look_up(inputs: Sequence[Any]) -> Vectors:
        names = [str(each) for each in inputs]
        new = [name for name in dict.fromkeys(names) if name not in known]
        if new:
            known.update(zip(new, encode(new), strict=True))
        return np.array([known[name] for name in names], dtype=np.float32).reshape(-1, dim)

    return look_up
