"""How good a network is on the held-out pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rerank.training.batching import group_batches
from rerank.training.data import GradedPairs, has_order
from rerank.training.losses import LossName, total

ROWS_PER_BATCH = 512  # a loss that compares takes memory for their square
NDCG_CUTOFF = 10


def mean_loss(names: Sequence[LossName], logits: NDArray[np.float32], data: GradedPairs) -> float:
    """The sum of several losses, mean over batches of whole groups weighted by their rows; NaN without rows."""
    import torch

    if len(logits) == 0:
        return math.nan
    batches = group_batches(data.groups, data.encoded.lengths, ROWS_PER_BATCH, np.random.default_rng(0))
    columns = [torch.from_numpy(column) for column in (logits.astype(float), data.targets.astype(float))]
    columns.append(torch.from_numpy(data.groups))
    losses = [total(names, *(column[rows] for column in columns)).item() for rows in batches]
    return float(np.average(losses, weights=[len(rows) for rows in batches]))


def mean_ndcg(logits: NDArray[np.float32], data: GradedPairs) -> float:
    """Mean nDCG@10 of the groups with more than one target; NaN if there is none or a logit is not finite."""
    from sklearn.metrics import ndcg_score

    rows = np.flatnonzero(has_order(data.targets, data.groups))
    if len(rows) == 0 or not np.isfinite(logits).all():
        return math.nan
    rows = rows[np.argsort(data.groups[rows], kind="stable")]
    lists = np.split(rows, np.flatnonzero(np.diff(data.groups[rows])) + 1)
    sums = 0.0
    for size in sorted({len(each) for each in lists}):  # lists of equal length form a table
        table = np.array([each for each in lists if len(each) == size])  # (lists, size)
        sums += len(table) * ndcg_score(data.targets[table], logits[table], k=NDCG_CUTOFF)
    return sums / len(lists)
