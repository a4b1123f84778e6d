"""FlashRank over the benchmark's own model: it only knows model names, so a folder of one of them is made for it."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.machine import scratch_folder
from benchmarks.rerank.pairs import Pair

# A name that its table has; what lies in the folder of that name is ours, and nothing is downloaded.
NAME = "ms-marco-TinyBERT-L-2-v2"


def flashrank(
    folder: str, *, max_length: int, threads: int
) -> Callable[[Sequence[Pair]], NDArray[np.float32]] | None:
    """FlashRank's `Ranker.rerank`, one call a query, over the same weights in float32 as an ONNX file.

    It sorts the candidates beside what we do, which is little, and pads each query's candidates to the longest.

    Args:
        folder: the cross-encoder.
        max_length: most tokens of a pair.
        threads: of ONNX Runtime, which FlashRank leaves at all cores.

    Returns:
        Scores in the order of the pairs, each query's pairs in a row; None where it cannot run, with a line on
        stderr that says why.
    """
    try:
        import onnx  # noqa: F401  (torch's exporter needs them)
        import onnxruntime
        import onnxscript  # noqa: F401
        from flashrank import Ranker, RerankRequest
        from flashrank.Config import model_file_map
    except ImportError as error:
        print(f"flashrank is left out: {error.name} is not installed.", file=sys.stderr)
        return None
    cache = scratch_folder("flashrank")
    weights = cache / NAME / model_file_map[NAME]
    _export(folder, weights)
    ranker = Ranker(NAME, cache_dir=str(cache), max_length=max_length, log_level="WARNING")
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    ranker.session = onnxruntime.InferenceSession(str(weights), settings, providers=["CPUExecutionProvider"])

    def score(pairs: Sequence[Pair]) -> NDArray[np.float32]:
        scores = np.empty(len(pairs), dtype=np.float32)
        rows: dict[str, list[int]] = {}
        for row, (query, _) in enumerate(pairs):
            rows.setdefault(query, []).append(row)
        for query, own in rows.items():
            passages = [{"id": row, "text": pairs[row][1]} for row in own]
            for passage in ranker.rerank(RerankRequest(query=query, passages=passages)):
                scores[passage["id"]] = passage["score"]
        return scores

    return score


def _export(folder: str, weights: Path) -> None:
    """Write the ONNX file and the four tokenizer files that FlashRank reads, beside it."""
    import torch
    from sentence_transformers import CrossEncoder
    from torch.export import Dim

    # Attention as plain products, which ONNX Runtime puts together again in its own way.
    network = CrossEncoder(
        folder,
        device="cpu",
        local_files_only=True,
        model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"},
    )
    tokenizer = network.tokenizer
    network.save_pretrained(str(weights.parent), create_model_card=False)
    (weights.parent / "special_tokens_map.json").write_text(json.dumps(tokenizer.special_tokens_map))
    inputs = dict(
        tokenizer(["red shoes", "a"], ["blue", "a green bag of it"], padding=True, return_tensors="pt")
    )
    shape = {0: Dim("rows"), 1: Dim("tokens")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's remarks on the names of axes
        torch.onnx.export(
            network.model.eval(),
            (),
            weights,
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes={name: shape for name in inputs},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
