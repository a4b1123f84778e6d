"""The text tower of a CLIP model as a text encoder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from multimodal.checks import texts_of


class ClipTexts(Protocol):
    """What is needed of a CLIP model here."""

    @property
    def dim(self) -> int:
        """Length of every vector."""
        ...

    def encode_texts(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Encode n strings: float32 of shape (n, dim), rows of unit length."""
        ...

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that name the model."""
        ...


class ClipWords:
    """The text tower of a CLIP model in the role of a text encoder.

    Args:
        clip: the model.
    """

    def __init__(self, clip: ClipTexts) -> None:
        self._clip = clip

    @property
    def dim(self) -> int:
        """Length of every vector."""
        return self._clip.dim

    def describe(self) -> dict[str, Any]:
        """Plain JSON values that name the model."""
        return {"clip": self._clip.describe()}

    def readable(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Every text that is not empty, as CLIP's tokenizer works on bytes; bool of shape (n,)."""
        return np.array([bool(text.strip()) for text in texts_of("texts", texts)], dtype=np.bool_)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n strings: float32 of shape (n, dim), rows of unit length."""
        return self._clip.encode_texts(texts)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode n strings: float32 of shape (n, dim), rows of unit length."""
        return self._clip.encode_texts(texts)
