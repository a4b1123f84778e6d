"""What a fit tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Keep = Literal["ndcg", "loss"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One look at how the training goes; the losses are in nats, each the sum of those trained with.

    Args:
        step: optimizer steps taken so far.
        train_loss: mean over the batches since the evaluation before; NaN before the first step.
        held_out_loss: of the held-out pairs; NaN where nothing is held out.
        held_out_ndcg: mean nDCG@10 of the held-out groups that have something to order, which are those with
            more than one grade; a pair's gain is its grade. NaN where there is no such group.
    """

    step: int
    train_loss: float
    held_out_loss: float
    held_out_ndcg: float

    def key(self, keep: Keep) -> tuple[float, float]:
        """Lower is better; where two looks have the same nDCG, their losses decide."""
        return (-self.held_out_ndcg, self.held_out_loss) if keep == "ndcg" else (self.held_out_loss, 0.0)


@dataclass(frozen=True, slots=True)
class FitReport:
    """What one `fit` did.

    Args:
        evaluations: the looks, the first from before training.
        steps: optimizer steps taken.
        best_step: the step whose weights the model now has.
        kept: by what the best step was chosen.
        train_pairs: pairs trained on.
        held_out_pairs: pairs only evaluated on; they share no group with the others.
        trained_parameters: numbers that the optimizer changed.
        stopped_early: whether `patience` ended the training.
        out_of_time: whether `max_seconds` ended the training.
        bf16: whether matrix products ran in bfloat16.
        seconds: wall-clock time of the training, that before an interruption included.
    """

    evaluations: tuple[Evaluation, ...]
    steps: int
    best_step: int
    kept: Keep
    train_pairs: int
    held_out_pairs: int
    trained_parameters: int
    stopped_early: bool
    out_of_time: bool
    bf16: bool
    seconds: float
