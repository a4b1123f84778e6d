"""The network in torch, from token numbers to one logit per pair."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rerank.batching import suited_batch_tokens, token_batches
from rerank.tokens import Batch, Pair, Tokens, tokenize

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor


def forward(network: CrossEncoder, batch: Batch, *, bf16: bool = False) -> Tensor:
    """Logits in float32, shape (rows,), whatever precision the network computes in.

    Args:
        network: a cross-encoder with one score per pair.
        batch: padded token numbers, each of shape (rows, longest).
        bf16: whether matrix products run in bfloat16 (autocast).
    """
    import torch

    features = {name: torch.from_numpy(array).to(network.device) for name, array in batch.items()}
    # Autocast keeps its casts of the weights until it ends, so it must not outlive an optimizer step.
    with torch.autocast(network.device.type, dtype=torch.bfloat16, enabled=bf16):
        scores: Tensor = network(features)["scores"]  # (rows, 1)
    return scores.squeeze(-1).float()


def predict(
    network: CrossEncoder, tokens: Tokens, batch_tokens: int | None, *, bf16: bool = False
) -> NDArray[np.float32]:
    """Logits of all pairs in their order, shape (n,), computed in batches of similar length.

    Args:
        network: a cross-encoder with one score per pair.
        tokens: n pairs.
        batch_tokens: most tokens of a padded batch; None is what suits the network's device.
        bf16: see `forward`.
    """
    import torch

    budget = batch_tokens or suited_batch_tokens(network.device.type)
    logits = np.empty(len(tokens.columns["input_ids"]), dtype=np.float32)
    network.eval()
    with torch.inference_mode():
        for rows in token_batches(tokens.lengths, budget):
            logits[rows] = forward(network, tokens.batch(rows), bf16=bf16).cpu().numpy()
    return logits


class TorchBackend:
    """The network as torch computes it.

    Args:
        network: a cross-encoder with one score per pair.
        batch_tokens: see `predict`.
        bf16: whether matrix products run in bfloat16.
    """

    def __init__(self, network: CrossEncoder, batch_tokens: int | None, *, bf16: bool = False) -> None:
        self._network = network
        self._batch_tokens = batch_tokens
        self._bf16 = bf16
        self._lock = Lock()

    def tokenize(self, pairs: Sequence[Pair], /) -> Tokens:
        """See `Backend.tokenize`."""
        tokenizer = self._network.tokenizer
        with self._lock:  # a tokenizer holds its truncation as state
            return tokenize(tokenizer, pairs, tokenizer.model_max_length)

    def logits(self, tokens: Tokens, /) -> NDArray[np.float32]:
        """See `Backend.logits`."""
        return predict(self._network, tokens, self._batch_tokens, bf16=self._bf16)


def native_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not device.startswith("cpu") or not hasattr(torch.cpu, "get_capabilities"):  # torch before 2.10
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
