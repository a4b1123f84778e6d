"""Towers that encode each text and photo once, for a benchmark that indexes the same items many times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from multimodal import ClipEncoder
from twotower.towers.parts import TextTower
from twotower.types import ImageSource, Vectors


class Cache:
    """Vectors by input.

    Args:
        encode: makes the vectors of new inputs, float32 of shape (n, dim).
        dim: of every vector.
    """

    def __init__(self, encode: Callable[[list[str]], Vectors], dim: int) -> None:
        self._encode = encode
        self._dim = dim
        self._known: dict[str, Vectors] = {}

    def __call__(self, inputs: Sequence[Any]) -> Vectors:
        """One vector for each input, float32 of shape (n, dim)."""
        names = [str(each) for each in inputs]
        new = [name for name in dict.fromkeys(names) if name not in self._known]
        if new:
            self._known.update(zip(new, self._encode(new), strict=True))
        return np.array([self._known[name] for name in names], dtype=np.float32).reshape(-1, self._dim)


class CachedTexts:
    """A text tower with a cache; everything else is the tower's own.

    Args:
        tower: encodes new texts.
    """

    def __init__(self, tower: TextTower) -> None:
        self._tower = tower
        self.encode_queries = Cache(tower.encode_queries, tower.dim)
        self.encode_documents = Cache(tower.encode_documents, tower.dim)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tower, name)


class CachedPhotos:
    """A CLIP encoder with a cache, photos by their path; everything else is the encoder's own.

    Args:
        clip: encodes new photos and texts.
    """

    def __init__(self, clip: ClipEncoder) -> None:
        self._clip = clip
        self.encode_images = Cache(lambda paths: clip.encode_images(map(clip.load, paths)), clip.dim)
        self.encode_texts = Cache(clip.encode_texts, clip.dim)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clip, name)

    def load(self, source: ImageSource) -> ImageSource:
        """The path itself: a photo is opened when it is encoded."""
        return source

    def words(self) -> CachedTexts:
        """The model's text tower in the role of a text encoder."""
        return CachedTexts(self._clip.words())
