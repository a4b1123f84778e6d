"""The contract of every back end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.tokens import EncodedPairs, Pair

BackendName: TypeAlias = Literal["torch", "torch-bf16", "onnx", "onnx-int8", "openvino"]
BACKENDS: tuple[BackendName, ...] = ("torch", "torch-bf16", "onnx", "onnx-int8", "openvino")


class Backend(Protocol):
    """Pairs to logits."""

    def tokenize(self, pairs: Sequence[Pair], /) -> EncodedPairs:
        """Pairs as token ids, truncated to what the model reads."""
        ...

    def logits(self, encoded: EncodedPairs, /) -> NDArray[np.float32]:
        """Logits of n tokenized pairs in their order, shape (n,)."""
        ...
