"""OpenVINO: opens a float32 file of `export`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.tokens import Batch
from rerank.errors import ModelError
from rerank.serving.exported import Forward, available_cores


def open_openvino(weights: Path) -> Forward:
    """The network in a float32 file of `export`, computed by OpenVINO.

    Raises:
        ModelError: OpenVINO is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise ModelError("this back end needs openvino: run `pip install 'twotower[openvino]'`") from error
    core = openvino.Core()
    settings: Mapping[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32",  # by default it takes bfloat16 if the CPU has it
        "PERFORMANCE_HINT": "LATENCY",  # all threads work on one batch at a time
        "INFERENCE_NUM_THREADS": available_cores(),
    }
    request = core.compile_model(core.read_model(weights), "CPU", settings).create_infer_request()
    inputs = [each.any_name for each in request.model_inputs]
    lock = Lock()  # a request holds its inputs and outputs

    def forward(batch: Batch) -> NDArray[np.float32]:
        with lock:
            outputs = request.infer({name: batch[name] for name in inputs}, share_inputs=True)
            return np.array(outputs["logits"])

    return forward
