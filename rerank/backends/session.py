"""The network as ONNX Runtime computes it, from files alone: neither torch nor transformers is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from rerank.backends.files import TokenizerFiles, read_tokenizer
from rerank.batching import token_batches
from rerank.errors import InputError, ModelError
from rerank.tokens import Pair, Tokens

PROVIDERS = ["CPUExecutionProvider"]


class OnnxBackend:
    """A file of `export` with the tokenizer of its model.

    Args:
        weights: the file.
        folder: the model's, for its tokenizer.
        batch_tokens: most tokens of a padded batch.
        max_length: most tokens of a pair; None is the most the model takes.

    Raises:
        InputError: `max_length` is more than the model takes.
        ModelError: ONNX Runtime is not installed, or the tokenizer cannot be read without transformers.
    """

    def __init__(self, weights: Path, folder: Path, batch_tokens: int, max_length: int | None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError("The back end needs ONNX Runtime: pip install onnxruntime.") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=PROVIDERS)
        self._inputs = [given.name for given in self._session.get_inputs()]
        self._files: TokenizerFiles = read_tokenizer(folder)
        limit = self._files.max_length
        if max_length is not None and max_length > limit:
            raise InputError(f"max_length of {folder} is at most {limit}.")
        self._max_length = limit if max_length is None else max_length
        self._batch_tokens = batch_tokens
        self._lock = Lock()

    def tokenize(self, pairs: Sequence[Pair], /) -> Tokens:
        """See `Backend.tokenize`."""
        with self._lock:  # a tokenizer holds its truncation as state
            return self._files.tokenize(pairs, self._max_length)

    def logits(self, tokens: Tokens, /) -> NDArray[np.float32]:
        """See `Backend.logits`."""
        logits = np.empty(len(tokens.columns["input_ids"]), dtype=np.float32)
        for rows in token_batches(tokens.lengths, self._batch_tokens):
            batch = tokens.batch(rows)
            (found,) = self._session.run(["logits"], {name: batch[name] for name in self._inputs})
            logits[rows] = found[:, 0]
        return logits
