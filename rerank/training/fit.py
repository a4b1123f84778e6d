"""A fit from its arguments to its report."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from rerank.backends.network import native_bf16
from rerank.errors import InputError
from rerank.model import Model
from rerank.tokens import Pair
from rerank.training.best import BestWeights
from rerank.training.checkpoint import Checkpoint
from rerank.training.data import LEAST_GROUPS, Graded, split
from rerank.training.fingerprint import fingerprint
from rerank.training.loop import train
from rerank.training.options import FitOptions
from rerank.training.report import FitReport
from rerank.training.trainable import trainable


def fit(
    model: Model,
    source: str,
    texts: Sequence[Pair],
    grades: Sequence[float] | NDArray[np.floating],
    groups: Sequence[Hashable] | None,
    options: FitOptions,
    *,
    batch_tokens: int | None,
) -> FitReport:
    """Train a model in place; see `CrossEncoderReranker.fit`."""
    groups = [query for query, _ in texts] if groups is None else groups
    if len(groups) != len(texts):
        raise InputError(f"There are {len(texts)} pairs but {len(groups)} groups.")
    parts = split(grades, groups, options)
    keep = options.keep or ("ndcg" if parts.groups_to_order() >= LEAST_GROUPS else "loss")

    network = model.network().float()
    data = Graded(model.tokenize(texts), parts.targets, parts.groups)
    checkpoint = None
    if options.checkpoint is not None:
        checkpoint = Checkpoint(options.checkpoint, fingerprint(source, network, data, parts, options))
    with trainable(network, options):
        best = BestWeights(network, keep=keep, start_counts=not model.has_new_head())
        try:
            return train(
                network,
                data.rows(parts.train),
                data.rows(parts.held_out),
                best,
                options,
                batch_tokens=batch_tokens,
                bf16=native_bf16(network.device.type) if options.bf16 is None else options.bf16,
                checkpoint=checkpoint,
            )
        finally:
            best.restore()
            model.trained(improved=best.step > 0)
