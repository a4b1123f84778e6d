"""The network as ONNX Runtime or OpenVINO computes it, from files alone: neither torch nor transformers is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.backends.files import TokenizerFiles, read_tokenizer
from rerank.batching import suited_batch_tokens, token_batches
from rerank.errors import InputError, ModelError
from rerank.tokens import Batch, Pair, Tokens

PROVIDERS = ["CPUExecutionProvider"]
# The fused operator adds and normalizes on its own, slower than the two operators that it replaces.
NOT_FUSED = ["SkipLayerNormFusion"]

Network: TypeAlias = Callable[[Batch], NDArray[np.float32]]
"""Padded token numbers, each of shape (rows, longest), to logits of shape (rows, 1); threads may share it."""


def onnx_runtime(weights: Path) -> Network:
    """A file of `export` as ONNX Runtime computes it.

    Raises:
        ModelError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError("The back end needs ONNX Runtime: pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads()
    # Threads that wait for the next batch without sleeping take the cores from the search that should bring it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(weights), options, providers=PROVIDERS, disabled_optimizers=NOT_FUSED
    )
    inputs = [given.name for given in session.get_inputs()]

    def logits(batch: Batch) -> NDArray[np.float32]:
        (found,) = session.run(["logits"], {name: batch[name] for name in inputs})
        return np.asarray(found)

    return logits


def openvino(weights: Path) -> Network:
    """A float32 file of `export` as OpenVINO computes it.

    Raises:
        ModelError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ModelError("The back end needs OpenVINO: pip install openvino.") from error
    core = openvino.Core()
    settings: Mapping[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",  # its own choice is bfloat16 where the CPU has it
        "PERFORMANCE_HINT": "LATENCY",  # all threads on one batch, and one batch at a time
        "INFERENCE_NUM_THREADS": _threads(),
    }
    request = core.compile_model(core.read_model(weights), "CPU", settings).create_infer_request()
    inputs = [given.any_name for given in request.model_inputs]
    one_at_a_time = Lock()

    def logits(batch: Batch) -> NDArray[np.float32]:
        with one_at_a_time:
            found = request.infer({name: batch[name] for name in inputs}, share_inputs=True)
            return np.array(found["logits"])

    return logits


class FileBackend:
    """A file of `export` with the tokenizer of its model.

    Args:
        network: what computes the file.
        folder: the model's, for its tokenizer.
        batch_tokens: most tokens of a padded batch; None is what suits a CPU.
        max_length: most tokens of a pair; None is the most the model takes.

    Raises:
        InputError: `max_length` is more than the model takes.
        ModelError: the tokenizer cannot be read without transformers.
    """

    def __init__(
        self, network: Network, folder: Path, batch_tokens: int | None, max_length: int | None
    ) -> None:
        self._network = network
        self._files: TokenizerFiles = read_tokenizer(folder)
        limit = self._files.max_length
        if max_length is not None and max_length > limit:
            raise InputError(f"max_length of {folder} is at most {limit}.")
        self._max_length = limit if max_length is None else max_length
        self._batch_tokens = batch_tokens or suited_batch_tokens("cpu")
        self._lock = Lock()

    def tokenize(self, pairs: Sequence[Pair], /) -> Tokens:
        """See `Backend.tokenize`."""
        with self._lock:  # a tokenizer holds its truncation as state
            return self._files.tokenize(pairs, self._max_length)

    def logits(self, tokens: Tokens, /) -> NDArray[np.float32]:
        """See `Backend.logits`."""
        logits = np.empty(len(tokens.columns["input_ids"]), dtype=np.float32)
        for rows in token_batches(tokens.lengths, self._batch_tokens):
            logits[rows] = self._network(tokens.batch(rows))[:, 0]
        return logits


def _threads() -> int:
    return len(os.sched_getaffinity(0))
