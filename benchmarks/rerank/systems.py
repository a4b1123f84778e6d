"""The cross-encoders that `rerank` compares: ours with every back end, sentence-transformers, FlashRank."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.contract import Parameter
from benchmarks.common.timing import OURS, SENTENCE_TRANSFORMERS, synchronised
from benchmarks.rerank.flashrank import flashrank
from benchmarks.rerank.pairs import Pair

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from rerank.serving.backend import BackendName

Score: TypeAlias = Callable[[list[Pair]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ScoringSystem:
    """A cross-encoder to measure.

    Args:
        score: in [0, 1], of pairs whose queries come one after the other.
        params: what it runs with.
        many: whether it takes the pairs of several queries in one call.
        exact: whether it computes in float32, so that its scores must be equal.
    """

    score: Score
    params: Mapping[str, Parameter]
    many: bool = True
    exact: bool = True


def sentence_transformers(folder: str, device: str) -> CrossEncoder:
    """The peer; on a GPU ours keeps the precision of the files, so the peer does the same."""
    import torch
    from sentence_transformers import CrossEncoder

    dtype = "auto" if device.startswith("cuda") else torch.float32
    network: CrossEncoder = CrossEncoder(
        folder, device=device, local_files_only=True, model_kwargs={"use_safetensors": True, "dtype": dtype}
    )
    return network


def all_systems(
    folder: str, peer: CrossEncoder, max_length: int, options: argparse.Namespace
) -> dict[str, ScoringSystem]:
    """Every system with its defaults; on a GPU the peer also with a batch that suits one."""
    import torch

    from multimodal.precision import native_bf16
    from rerank import CrossEncoderReranker
    from rerank.cross_encoder.batching import default_batch_tokens

    device = options.device
    cuda = device.startswith("cuda")

    def ours(backend: BackendName = "torch") -> ScoringSystem:
        reranker = CrossEncoderReranker(folder, device=device, backend=backend)
        params: dict[str, Parameter] = {"batch_tokens": default_batch_tokens(device), "backend": backend}
        exact = backend in ("torch", "onnx")
        return ScoringSystem(synchronised(reranker.score, device), params, exact=exact)

    def theirs(batch_size: int) -> ScoringSystem:
        # Ours also brings texts to Unicode form NFKC; the seeded ones are in it already.
        predict = partial(
            peer.predict, batch_size=batch_size, activation_fn=torch.nn.Sigmoid(), show_progress_bar=False
        )
        return ScoringSystem(synchronised(predict, device), {"batch_size": batch_size})

    systems = {OURS: ours(), SENTENCE_TRANSFORMERS: theirs(32)}
    if native_bf16(device):
        systems[f"{OURS} torch-bf16"] = ours(backend="torch-bf16")
    if cuda:
        systems[f"{SENTENCE_TRANSFORMERS} batch_size=256"] = theirs(256)
    if cuda or options.quick:
        reason = "it runs on CPUs only" if cuda else "exporting its model takes too long for --quick"
        print(f"flashrank is left out: {reason}", file=sys.stderr)
        return systems
    systems |= {f"{OURS} {backend}": ours(backend=backend) for backend in ("onnx", "onnx-int8")}
    for student in options.student:
        reranker = CrossEncoderReranker(student, device=device, backend="onnx-int8", max_length=max_length)
        name = f"{OURS} student {Path(student).name} onnx-int8"
        systems[name] = ScoringSystem(
            reranker.score, {"student": student, "backend": "onnx-int8"}, exact=False
        )
    onnx = flashrank(folder, max_length=max_length, threads=options.threads)
    if onnx is not None:
        systems["flashrank"] = ScoringSystem(onnx, {"runtime": "onnxruntime"}, many=False)
    return systems
