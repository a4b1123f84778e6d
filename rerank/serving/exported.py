"""A back end over exported files alone: neither torch nor transformers is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.batching import default_batch_tokens, token_batches
from rerank.cross_encoder.tokens import Batch, EncodedPairs, Pair
from rerank.errors import InputError
from rerank.serving.tokenizer import read_tokenizer

Forward: TypeAlias = Callable[[Batch], NDArray[np.float32]]
"""Padded token ids, each of shape (rows, longest), to logits of shape (rows, 1). Thread-safe."""


class ExportedBackend:
    """A file of `export`, with the tokenizer of its model.

    Args:
        forward: computes the file.
        folder: the model's folder, for its tokenizer.
        batch_tokens: maximum tokens of a padded batch; None takes what suits a CPU.
        max_length: maximum tokens of a pair; None takes the model's own limit.

    Raises:
        InputError: `max_length` is above the model's limit.
        ModelError: the tokenizer cannot be read without transformers.
    """

    def __init__(
        self, forward: Forward, folder: Path, batch_tokens: int | None, max_length: int | None
    ) -> None:
        self._forward = forward
        self._tokenizer = read_tokenizer(folder)
        limit = self._tokenizer.max_length
        if max_length is not None and max_length > limit:
            raise InputError(f"max_length of {folder} must be at most {limit}, got {max_length}")
        self._max_length = limit if max_length is None else max_length
        self._batch_tokens = batch_tokens or default_batch_tokens("cpu")
        self._lock = Lock()

    def tokenize(self, pairs: Sequence[Pair], /) -> EncodedPairs:
        """See `Backend.tokenize`."""
        with self._lock:  # a tokenizer holds its truncation as state
            return self._tokenizer.tokenize(pairs, self._max_length)

    def logits(self, encoded: EncodedPairs, /) -> NDArray[np.float32]:
        """See `Backend.logits`."""
        logits = np.empty(len(encoded), dtype=np.float32)
        for rows in token_batches(encoded.lengths, self._batch_tokens):
            logits[rows] = self._forward(encoded.batch(rows))[:, 0]
        return logits


def available_cores() -> int:
    """How many CPU cores this process may use."""
    return len(os.sched_getaffinity(0))
