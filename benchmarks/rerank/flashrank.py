"""FlashRank over the benchmark's own model: it only knows model names, so it gets a folder with one of them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.machine import scratch_folder
from benchmarks.rerank.pairs import Pair

# A name that its table has; what lies in the folder of that name is ours, and nothing is downloaded.
NAME = "ms-marco-TinyBERT-L-2-v2"
NEEDS = ("flashrank", "onnx", "onnxruntime", "onnxscript")  # torch's exporter needs all but the first


def flashrank(
    folder: str, *, max_length: int, threads: int
) -> Callable[[Sequence[Pair]], NDArray[np.float32]]:
    """FlashRank's `Ranker.rerank`, one call per query, over the same weights in float32 as an ONNX file.

    Unlike ours it also sorts the candidates, which is little, and pads each query's candidates to the longest.
    ONNX Runtime gets as many threads as everybody else; FlashRank alone would use all cores.

    Returns:
        Scores in the order of the pairs, each query's pairs in a row.
    """
    import onnxruntime
    from flashrank import Ranker, RerankRequest
    from flashrank.Config import model_file_map

    cache = scratch_folder("flashrank")
    weights = cache / NAME / model_file_map[NAME]
    _export(folder, weights)
    ranker = Ranker(NAME, cache_dir=str(cache), max_length=max_length, log_level="WARNING")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    ranker.session = onnxruntime.InferenceSession(str(weights), settings, providers=["CPUExecutionProvider"])

    def score(pairs: Sequence[Pair]) -> NDArray[np.float32]:
        scores = np.empty(len(pairs), dtype=np.float32)
        passages: dict[str, list[dict[str, object]]] = {}
        for row, (query, text) in enumerate(pairs):
            passages.setdefault(query, []).append({"id": row, "text": text})
        for query, own in passages.items():
            for passage in ranker.rerank(RerankRequest(query=query, passages=own)):
                scores[passage["id"]] = passage["score"]
        return scores

    return score


def _export(folder: str, weights: Path) -> None:
    """Write the ONNX file and the four tokenizer files that FlashRank reads, beside it."""
    import torch
    from sentence_transformers import CrossEncoder
    from torch.export import Dim

    # Attention as plain products, which ONNX Runtime fuses again in its own way.
    plain = {"dtype": torch.float32, "attn_implementation": "eager"}
    network = CrossEncoder(folder, device="cpu", local_files_only=True, model_kwargs=plain)
    tokenizer = network.tokenizer
    network.save_pretrained(str(weights.parent), create_model_card=False)
    (weights.parent / "special_tokens_map.json").write_text(json.dumps(tokenizer.special_tokens_map))
    texts = ["red shoes", "a"], ["blue", "a green bag of it"]
    inputs = dict(tokenizer(*texts, padding=True, return_tensors="pt"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on the names of axes
        torch.onnx.export(
            network.model.eval(),
            (),
            weights,
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes={name: {0: Dim("rows"), 1: Dim("tokens")} for name in inputs},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
