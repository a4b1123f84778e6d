"""Contrastive losses on a batch of pairs; what is known to be a positive too is never a negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def in_batch_loss(logits: Tensor, known: Tensor) -> Tensor:
    """Mean cross-entropy of each query's own document against the other documents of the batch.

    Henderson et al. 2017, arXiv:1705.00652, section 4.4 (there "multiple negatives"), except that documents that are
    known to be positives of a query are left out of its sum.

    Args:
        logits: of n queries and m >= n documents, shape (n, m); the own document of query i is document i.
        known: bool of shape (n, m); [i, j] says that document j is a positive of query i. The diagonal is ignored.

    Returns:
        The mean over the queries, in nats.
    """
    import torch
    from torch.nn.functional import cross_entropy

    own = torch.arange(len(logits), device=logits.device)
    others = known.clone()
    others[own, own] = False
    return cross_entropy(logits.masked_fill(others, -torch.inf), own)


def symmetric_loss(images: Tensor, texts: Tensor, scale: Tensor | float, known: Tensor) -> Tensor:
    """Symmetric InfoNCE of CLIP (Radford et al. 2021, arXiv:2103.00020): photo to caption and caption to photo.

    Args:
        images: photo vectors of unit length, shape (n, dim).
        texts: caption vectors of unit length, shape (n, dim).
        scale: what the cosines are multiplied by, one over the temperature.
        known: bool of shape (n, n); [i, j] says that caption j is true of photo i. The diagonal is ignored.

    Returns:
        The mean of both directions, in nats.
    """
    logits = scale * images @ texts.T  # (n, n)
    return (in_batch_loss(logits, known) + in_batch_loss(logits.T, known.T)) / 2
