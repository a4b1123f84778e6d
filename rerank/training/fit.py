"""A fit, from its options to its report."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multimodal.precision import native_bf16
from rerank.cross_encoder.model import Model
from rerank.cross_encoder.tokens import Pair
from rerank.errors import require
from rerank.training.best_weights import BestWeights
from rerank.training.checkpoint import Checkpoint
from rerank.training.data import MIN_NDCG_GROUPS, GradedPairs, split
from rerank.training.fingerprint import fingerprint
from rerank.training.loop import train
from rerank.training.options import FitOptions
from rerank.training.report import FitReport
from rerank.training.trainable import trainable


def fit(
    model: Model,
    name: str,
    pairs: Sequence[Pair],
    grades: Sequence[float] | NDArray[np.floating],
    groups: Sequence[Hashable],
    options: FitOptions,
    *,
    batch_tokens: int | None,
) -> FitReport:
    """Train a model in place; see `CrossEncoderReranker.fit`."""
    require(
        len(groups) == len(pairs),
        f"groups must have one entry for each of {len(pairs)} pairs, got {len(groups)}",
    )
    parts = split(grades, groups, options)
    criterion = options.keep or ("ndcg" if parts.ordered_groups() >= MIN_NDCG_GROUPS else "loss")

    network = model.network().float()
    data = GradedPairs(model.tokenize(pairs), parts.targets, parts.groups)
    checkpoint = None
    if options.checkpoint is not None:
        checkpoint = Checkpoint(Path(options.checkpoint), fingerprint(name, network, data, parts, options))
    with trainable(network, options):
        best = BestWeights(network, criterion=criterion, start_counts=not model.has_new_head())
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
            model.weights_changed(improved=best.step > 0)
