"""Towers that encode each text and photo once, for a benchmark that indexes the same items many times."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from multimodal import ClipEncoder
from twotower.towers.parts import TextTower
from twotower.types import ImageSource, Vectors

Input = TypeVar("Input", bound=Hashable)


class RememberedTexts:
    """A text tower that keeps what it encoded.

    Args:
        tower: what it asks.
    """

    def __init__(self, tower: TextTower) -> None:
        self._tower = tower
        self._queries: dict[str, Vectors] = {}
        self._documents: dict[str, Vectors] = {}

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return self._tower.dim

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """As the tower."""
        return _remember(self._queries, [str(text) for text in texts], self._tower.encode_queries, self.dim)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """As the tower."""
        return _remember(self._documents, texts, self._tower.encode_documents, self.dim)

    def readable(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """As the tower."""
        return self._tower.readable(texts)

    def describe(self) -> Mapping[str, Any]:
        """As the tower."""
        return self._tower.describe()


class RememberedImages:
    """A CLIP encoder that keeps what it encoded, photos by their path.

    Args:
        clip: what it asks.
    """

    def __init__(self, clip: ClipEncoder) -> None:
        self._clip = clip
        self._photos: dict[str, Vectors] = {}
        self._texts: dict[str, Vectors] = {}

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return self._clip.dim

    def load(self, source: ImageSource) -> ImageSource:
        """The path itself: a photo is opened when it is encoded."""
        return source

    def encode_images(self, images: Sequence[ImageSource]) -> Vectors:
        """As the encoder, of the photos at these paths."""

        def encode(paths: Sequence[str]) -> Vectors:
            return self._clip.encode_images(self._clip.load(path) for path in paths)

        return _remember(self._photos, [str(path) for path in images], encode, self.dim)

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """As the encoder."""
        return _remember(self._texts, texts, self._clip.encode_texts, self.dim)

    def words(self) -> RememberedTexts:
        """The model's text tower in the role of a text encoder."""
        return RememberedTexts(self._clip.words())

    def describe(self) -> Mapping[str, Any]:
        """As the encoder."""
        return self._clip.describe()


def _remember(
    known: dict[Input, Vectors],
    inputs: Sequence[Input],
    encode: Callable[[Sequence[Input]], Vectors],
    dim: int,
) -> Vectors:
    new = [each for each in dict.fromkeys(inputs) if each not in known]
    if new:
        known.update(zip(new, encode(new), strict=True))
    return np.array([known[each] for each in inputs], dtype=np.float32).reshape(-1, dim)
