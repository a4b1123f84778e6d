"""torch: the network from token ids to one logit per pair."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rerank.cross_encoder.batching import default_batch_tokens, token_batches
from rerank.cross_encoder.tokens import Batch, EncodedPairs, Pair, tokenize

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor


def forward(network: CrossEncoder, batch: Batch, *, bf16: bool = False) -> Tensor:
    """Logits in float32, shape (rows,), whatever the precision of the network.

    Args:
        network: a cross-encoder with one score per pair.
        batch: padded token ids, each of shape (rows, longest).
        bf16: whether to multiply matrices in bfloat16 (autocast).
    """
    import torch

    features = {name: torch.from_numpy(array).to(network.device) for name, array in batch.items()}
    # Autocast caches the weights it has cast until it ends, so it must not span an optimizer step.
    with torch.autocast(network.device.type, dtype=torch.bfloat16, enabled=bf16):
        scores: Tensor = network(features)["scores"]  # (rows, 1)
    return scores.squeeze(-1).float()


def predict(
    network: CrossEncoder, encoded: EncodedPairs, batch_tokens: int | None, *, bf16: bool = False
) -> NDArray[np.float32]:
    """Logits of all pairs in their order, shape (n,), computed in batches of similar length.

    Args:
        network: a cross-encoder with one score per pair.
        encoded: n pairs.
        batch_tokens: maximum tokens of a padded batch; None takes what suits the network's device.
        bf16: see `forward`.
    """
    import torch

    budget = batch_tokens or default_batch_tokens(network.device.type)
    logits = np.empty(len(encoded), dtype=np.float32)
    network.eval()
    with torch.inference_mode():
        for rows in token_batches(encoded.lengths, budget):
            logits[rows] = forward(network, encoded.batch(rows), bf16=bf16).cpu().numpy()
    return logits


class TorchBackend:
    """The network computed by torch.

    Args:
        network: a cross-encoder with one score per pair.
        batch_tokens: see `predict`.
        bf16: whether to multiply matrices in bfloat16.
    """

    def __init__(self, network: CrossEncoder, batch_tokens: int | None, *, bf16: bool = False) -> None:
        self._network = network
        self._batch_tokens = batch_tokens
        self._bf16 = bf16
        self._lock = Lock()

    def tokenize(self, pairs: Sequence[Pair], /) -> EncodedPairs:
        """See `Backend.tokenize`."""
        tokenizer = self._network.tokenizer
        with self._lock:  # a tokenizer holds its truncation as state
            return tokenize(tokenizer, pairs, tokenizer.model_max_length)

    def logits(self, encoded: EncodedPairs, /) -> NDArray[np.float32]:
        """See `Backend.logits`."""
        return predict(self._network, encoded, self._batch_tokens, bf16=self._bf16)
