"""The cross-encoders that `rerank` compares: ours with every back end, sentence-transformers, FlashRank."""

from __future__ import annotations

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.common.machine import installed
from benchmarks.common.speed import System
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, synchronised
from benchmarks.rerank import flashrank

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from rerank.serving.backend import BackendName


def sentence_transformers(folder: str, device: str) -> CrossEncoder:
    """The peer; on a GPU ours keeps the precision of the files, so the peer does the same."""
    import torch
    from sentence_transformers import CrossEncoder

    dtype = "auto" if device.startswith("cuda") else torch.float32
    network: CrossEncoder = CrossEncoder(
        folder, device=device, local_files_only=True, model_kwargs={"use_safetensors": True, "dtype": dtype}
    )
    return network


def all_systems(folder: str, peer: CrossEncoder, max_length: int, options: Namespace) -> dict[str, System]:
    """Every system with its defaults, scores in [0, 1]; on a GPU the peer also with a batch that suits one."""
    import torch

    from multimodal.precision import native_bf16
    from rerank import CrossEncoderReranker
    from rerank.cross_encoder.batching import default_batch_tokens

    device = options.device
    cuda = device.startswith("cuda")

    def ours(backend: BackendName = "torch") -> System:
        reranker = CrossEncoderReranker(folder, device=device, backend=backend)
        params = {"batch_tokens": default_batch_tokens(device), "backend": backend}
        return System(synchronised(reranker.score, device), params, exact=backend in ("torch", "onnx"))

    def theirs(batch_size: int) -> System:
        # Ours also brings texts to Unicode form NFKC; the seeded ones are in it already.
        predict = partial(
            peer.predict, batch_size=batch_size, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False
        )
        return System(synchronised(predict, device), {"batch_size": batch_size})

    systems = {OURS: ours(), SENTENCE_TRANSFORMERS: theirs(32)}
    if native_bf16(device):
        systems[f"{OURS} torch-bf16"] = ours("torch-bf16")
    if cuda:
        systems[f"{SENTENCE_TRANSFORMERS} batch_size=256"] = theirs(256)
    if cuda or options.quick:
        reason = "it runs on CPUs only" if cuda else "exporting its model takes too long for --quick"
        print(f"flashrank is left out: {reason}", file=sys.stderr)
        return systems
    systems |= {f"{OURS} {backend}": ours(backend) for backend in ("onnx", "onnx-int8")}
    for student in options.student:
        reranker = CrossEncoderReranker(student, device=device, backend="onnx-int8", max_length=max_length)
        params = {"student": student, "backend": "onnx-int8"}
        systems[f"{OURS} student {Path(student).name} onnx-int8"] = System(
            reranker.score, params, exact=False
        )
    if installed("flashrank", *flashrank.NEEDS):
        score = flashrank.flashrank(folder, max_length=max_length, threads=options.threads)
        systems["flashrank"] = System(score, {"runtime": "onnxruntime"}, many=False)
    return systems
