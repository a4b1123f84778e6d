"""The optimizer of both trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

WARMUP = 0.1  # share of the training during which the learning rate rises
MAX_GRADIENT_NORM = 1.0


def adamw(model: Module, learning_rate: float, weight_decay: float) -> Optimizer:
    """AdamW that decays matrices and leaves biases and scales (vectors and numbers) undecayed."""
    import torch

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        lr=learning_rate,
        fused=True,
    )
