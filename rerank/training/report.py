"""The course and the result of a fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Criterion = Literal["ndcg", "loss"]


@dataclass(frozen=True, slots=True)
class TrainingEvaluation:
    """One evaluation in the course of training; losses are in nats, each the sum of the losses trained with.

    Args:
        step: optimizer steps taken so far.
        train_loss: mean over the batches since the previous evaluation; NaN before the first step.
        held_out_loss: of the held-out pairs; NaN if nothing is held out.
        held_out_ndcg: mean nDCG@10 of the held-out groups that have more than one grade, in which a pair's gain is
            its grade; NaN if there is no such group.
    """

    step: int
    train_loss: float
    held_out_loss: float
    held_out_ndcg: float

    def key(self, criterion: Criterion) -> tuple[float, float]:
        """Sort key, lower is better; equal nDCG is decided by the loss."""
        return (-self.held_out_ndcg, self.held_out_loss) if criterion == "ndcg" else (self.held_out_loss, 0.0)


@dataclass(frozen=True, slots=True)
class FitReport:
    """What one `fit` did.

    Args:
        evaluations: in their order, the first from before training.
        steps: optimizer steps taken.
        best_step: the step whose weights the model now has.
        kept: the criterion by which the best step was chosen.
        train_pairs: pairs trained on.
        held_out_pairs: pairs only evaluated on; they share no group with the others.
        trained_parameters: how many numbers the optimizer changed.
        stopped_early: whether `patience` ended the training.
        out_of_time: whether `max_seconds` ended the training.
        bf16: whether matrices were multiplied in bfloat16.
        seconds: wall-clock time of the training, including any before an interruption.
    """

    evaluations: tuple[TrainingEvaluation, ...]
    steps: int
    best_step: int
    kept: Criterion
    train_pairs: int
    held_out_pairs: int
    trained_parameters: int
    stopped_early: bool
    out_of_time: bool
    bf16: bool
    seconds: float
