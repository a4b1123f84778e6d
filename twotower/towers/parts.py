"""What a dual encoder is put together from: any objects of these shapes, `multimodal`'s own among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.types import ImageSource, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image


class TextTower(Protocol):
    """Strings to unit vectors; `multimodal.TextEncoder` is one."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    def encode_queries(self, texts: Sequence[str], /) -> Vectors:
        """Encode what shoppers type."""
        ...

    def encode_documents(self, texts: Sequence[str], /) -> Vectors:
        """Encode what the shop writes."""
        ...

    def readable(self, texts: Sequence[str], /) -> NDArray[np.bool_]:
        """Which texts the model can read at all."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that name the model."""
        ...


class ImageTower(Protocol):
    """Photos and words to unit vectors of one space; `multimodal.ClipEncoder` is one."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    def encode_images(self, images: Sequence[Image], /) -> Vectors:
        """Encode photos."""
        ...

    def encode_texts(self, texts: Sequence[str], /) -> Vectors:
        """Encode words into the space of the photos."""
        ...

    def load(self, source: ImageSource, /) -> Image:
        """Open a photo as large as the model needs it; a ValueError says what is wrong with it."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that name the model."""
        ...


class Fusion(Protocol):
    """How two vectors become one; `multimodal.WeightedConcat` is one."""

    @property
    def text(self) -> float:
        """Weight of the text modality."""
        ...

    @property
    def image(self) -> float:
        """Weight of the image modality."""
        ...

    def dim(self, text_dim: int, image_dim: int, /) -> int:
        """Length of a fused vector."""
        ...

    def blocks(self, text_dim: int, image_dim: int, /) -> Mapping[str, slice]:
        """Columns of each part whose inner products add up."""
        ...

    def fuse(
        self,
        text: Vectors,
        image: Vectors,
        has_text: NDArray[np.bool_],
        has_image: NDArray[np.bool_],
        /,
    ) -> Vectors:
        """Fuse n rows."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that name the method and its weights."""
        ...
