"""The network, from token numbers to one logit per pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rerank.batching import token_batches
from rerank.tokens import Batch, Tokens

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
    network: CrossEncoder, tokens: Tokens, batch_tokens: int, *, bf16: bool = False
) -> NDArray[np.float32]:
    """Logits of all pairs in their order, shape (n,), computed in batches of similar length."""
    import torch

    logits = np.empty(len(tokens.columns["input_ids"]), dtype=np.float32)
    network.eval()
    with torch.inference_mode():
        for rows in token_batches(tokens.lengths, batch_tokens):
            logits[rows] = forward(network, tokens.batch(rows), bf16=bf16).cpu().numpy()
    return logits
