"""The protocols of a dual encoder's parts, which those of `multimodal` implement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from twotower.types import ImageSource, Vectors

if TYPE_CHECKING:
    from PIL.Image import Image


@runtime_checkable
class TextTower(Protocol):
    """Encodes texts as unit vectors, such as `multimodal.TextEncoder`."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    def encode_queries(self, texts: Sequence[str], /) -> Vectors:
        """Encode the words of queries."""
        ...

    def encode_documents(self, texts: Sequence[str], /) -> Vectors:
        """Encode the texts of items."""
        ...

    def readable(self, texts: Sequence[str], /) -> NDArray[np.bool_]:
        """Which texts the model can read, bool of shape (n,)."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that name the model."""
        ...


@runtime_checkable
class ImageTower(Protocol):
    """Encodes photos and words as unit vectors in one space, such as `multimodal.ClipEncoder`."""

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
        """Open a photo at the size that the model needs; raises ValueError if it cannot be used."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """Plain JSON values that name the model."""
        ...


@runtime_checkable
class Fusion(Protocol):
    """Combines a text vector and an image vector, such as `multimodal.WeightedConcat`."""

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
        """The columns of each block; the inner products of the blocks add up."""
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
