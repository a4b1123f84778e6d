"""Fuse a text vector and an image vector into one; weights are renormalised over the modalities that are present.

The policy for a missing modality: its weight goes to the other one, so every fused vector has unit length, and an
item with a photo and no text is as close to a matching photo as it can be. Two vectors that both have text and
image score exactly w_t cos(text) + w_i cos(image) under `WeightedConcat`; where one of them lacks a modality, the
modality that both have counts sqrt(w * w'), with w and w' its weights on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from reprlib import repr as shown
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import check_number, check_whole


@dataclass(frozen=True, slots=True)
class _Weighted:
    """What both fusions share: two weights, and the rows that each of them applies to."""

    text: float = 0.5
    image: float = 0.5

    def __post_init__(self) -> None:
        for name, weight in (("text", self.text), ("image", self.image)):
            plain = check_number(f"fusion weight {name}", weight, least=0)
            object.__setattr__(self, name, plain)  # which JSON can hold
        if self.text + self.image <= 0:
            raise ValueError("one of the fusion weights text and image must be above 0, got 0 for both")

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that name the method and its weights."""
        return {"method": type(self).__name__, "text": self.text, "image": self.image}

    def fuse(
        self,
        text: NDArray[np.float32],
        image: NDArray[np.float32],
        has_text: NDArray[np.bool_],
        has_image: NDArray[np.bool_],
    ) -> NDArray[np.float32]:
        """Fuse n pairs of unit vectors.

        Args:
            text: float32 of shape (n, text_dim); rows without text are ignored.
            image: float32 of shape (n, image_dim); rows without image are ignored.
            has_text: bool of shape (n,).
            has_image: bool of shape (n,).

        Returns:
            float32 of shape (n, dim(text_dim, image_dim)), rows of unit length.

        Raises:
            ValueError: a row has no modality with a positive weight; for a sum also: the dimensions differ, or the
                two vectors of a row cancel out.
        """
        text, image = _rows("text", text), _rows("image", image)
        has_text, has_image = _mask("has_text", has_text, len(text)), _mask("has_image", has_image, len(text))
        if len(image) != len(text):
            raise ValueError(f"image must have a row for each of {len(text)} of text, got {len(image)}")
        weights = np.stack([self.text * has_text, self.image * has_image], axis=1)  # (n, 2)
        total = weights.sum(axis=1, keepdims=True)
        if not np.all(total > 0):
            raise ValueError(f"row {int(np.argmin(total))} has neither text nor image with a positive weight")
        return self._combined(text, image, np.asarray(weights / total, dtype=np.float32))

    def _combined(
        self, text: NDArray[np.float32], image: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The rows fused; `weights` has shape (n, 2), text and image, and each of its rows sums to 1."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class WeightedConcat(_Weighted):
    """Concatenate [sqrt(w_t) t, sqrt(w_i) v]: the inner product is exactly w_t cos_t + w_i cos_i.

    Args:
        text: weight of the text modality, at least 0.
        image: weight of the image modality, at least 0.
    """

    def dim(self, text_dim: int, image_dim: int) -> int:
        """Length of a fused vector."""
        return check_whole("text_dim", text_dim, least=0) + check_whole("image_dim", image_dim, least=0)

    def blocks(self, text_dim: int, image_dim: int) -> Mapping[str, slice]:
        """Columns of each modality in a fused vector."""
        return {"text": slice(0, text_dim), "image": slice(text_dim, self.dim(text_dim, image_dim))}

    def _combined(
        self, text: NDArray[np.float32], image: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        root = np.sqrt(weights)  # (n, 2)
        return np.concatenate([_scaled(text, root[:, 0]), _scaled(image, root[:, 1])], axis=1)


@dataclass(frozen=True, slots=True)
class WeightedSum(_Weighted):
    """Add w_t t + w_i v in a space that both share (both from one CLIP model), at unit length.

    Args:
        text: weight of the text modality, at least 0.
        image: weight of the image modality, at least 0.
    """

    def dim(self, text_dim: int, image_dim: int) -> int:
        """Length of a fused vector.

        Raises:
            ValueError: the dimensions differ.
        """
        if check_whole("text_dim", text_dim, least=0) != check_whole("image_dim", image_dim, least=0):
            raise ValueError(
                f"a weighted sum needs vectors of one space, got {text_dim} dimensions of text and {image_dim} of "
                "image: use one CLIP model for both, or WeightedConcat"
            )
        return text_dim

    def blocks(self, text_dim: int, image_dim: int) -> Mapping[str, slice]:
        """One block: a sum cannot be taken apart again."""
        return {"similarity": slice(0, self.dim(text_dim, image_dim))}

    def _combined(
        self, text: NDArray[np.float32], image: NDArray[np.float32], weights: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        self.dim(text.shape[1], image.shape[1])  # one space, or a ValueError
        total = _scaled(text, weights[:, 0]) + _scaled(image, weights[:, 1])  # (n, dim)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        if not np.all(length > 1e-6):
            raise ValueError(f"row {int(np.argmin(length))} has text and image vectors that cancel out")
        return np.asarray(total / length, dtype=np.float32)


def _rows(name: str, value: NDArray[np.float32]) -> NDArray[np.float32]:
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind != "f":
        raise ValueError(f"{name} must be an array of floats of shape (n, dim), got {shown(value)}")
    return value


def _mask(name: str, value: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    if not isinstance(value, np.ndarray) or value.shape != (count,) or value.dtype != np.bool_:
        raise ValueError(f"{name} must be an array of {count} bools, got {shown(value)}")
    return value


def _scaled(vectors: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows times their weights; a row of weight 0 becomes 0 whatever it held, NaN included."""
    return np.where(weight[:, None] > 0, vectors * weight[:, None], np.float32(0))
