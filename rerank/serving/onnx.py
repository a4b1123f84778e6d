"""ONNX Runtime: opens a file of `export`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.tokens import Batch
from rerank.errors import ModelError
from rerank.serving.exported import Forward, available_cores

PROVIDERS = ["CPUExecutionProvider"]
# The fused operator for addition and normalization is slower than the two operators it replaces.
DISABLED_OPTIMIZERS = ["SkipLayerNormFusion"]


def open_onnx(weights: Path) -> Forward:
    """The network in a file of `export`, computed by ONNX Runtime.

    Raises:
        ModelError: ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError("this back end needs onnxruntime: run `pip install 'twotower[onnx]'`") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    # Threads that spin while they wait for the next batch take the cores from the search that is to bring it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(weights), options, providers=PROVIDERS, disabled_optimizers=DISABLED_OPTIMIZERS
    )
    inputs = [each.name for each in session.get_inputs()]

    def forward(batch: Batch) -> NDArray[np.float32]:
        (logits,) = session.run(["logits"], {name: batch[name] for name in inputs})
        return np.asarray(logits)

    return forward
