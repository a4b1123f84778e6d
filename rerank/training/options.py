"""The options of a fit, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from reprlib import repr as shown
from typing import TYPE_CHECKING, Any, get_args

from rerank.checks import check_callable, check_choice, check_is, check_number, check_whole, listed, path_of
from rerank.errors import require
from rerank.training.losses import LossName
from rerank.training.report import Criterion, TrainingEvaluation

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How `CrossEncoderReranker.fit` and `distil` train.

    Args:
        loss: "pointwise", binary cross-entropy with soft targets, whose scores come close to the grades; or one that
            compares the pairs of a group and leaves the scale of the scores open: "ranknet" (pairwise), "lambda"
            (pairwise, weighted for nDCG), "listwise" (softmax over the group). Several are summed.
        epochs: passes over the pairs.
        learning_rate: the peak of the schedule.
        batch_size: maximum pairs of a step. A loss that compares gets whole groups; a larger group is split.
        held_out: share of the groups to hold out, in [0, 1); 0 trains on all and keeps the last weights.
        keep: the best weights are those of the highest held-out "ndcg" (nDCG@10, ties broken by the loss) or of the
            lowest held-out "loss"; None is "ndcg" if at least 30 held-out groups have pairs of different grades, and
            "loss" otherwise, because the mean over fewer is too coarse.
        patience: evaluations without improvement after which training stops.
        max_seconds: time after which training stops; the schedule is shortened to it, and the last evaluation comes
            on top.
        bf16: whether to multiply matrices in bfloat16; None does so if the hardware supports it natively.
        seed: of the split, the order of the pairs and the dropout.
        frozen_layers: how many of the lower layers stay as they are, and the embeddings with them, which is faster; 0
            trains everything.
        adapters: a config of the package `peft`, such as `LoraConfig`: only adapters, pooler and head are
            trained, and the adapters are merged into the weights at the end.
        checkpoint: a folder for the state of the training, written at every evaluation (four times the size of the
            model). The same fit resumes from there, to the same weights. It is deleted when the fit completes.
        watch: called with every evaluation, to log it elsewhere; an exception it raises ends the training.
        progress: whether to show a progress bar; None shows one on a terminal only.

    Raises:
        InputError: an option is out of range; the message names it.
    """

    loss: LossName | Sequence[LossName] = "pointwise"
    epochs: int = 1
    learning_rate: float = 5e-5
    batch_size: int = 32
    held_out: float = 0.1
    keep: Criterion | None = None
    patience: int = 3
    max_seconds: float | None = None
    bf16: bool | None = None
    seed: int = 0
    frozen_layers: int = 0
    adapters: PeftConfig | None = None
    checkpoint: str | Path | None = None
    watch: Callable[[TrainingEvaluation], None] | None = None
    progress: bool | None = None

    def __post_init__(self) -> None:
        if self.checkpoint is not None:  # by its absolute path, which outlives os.chdir
            object.__setattr__(self, "checkpoint", path_of("checkpoint", self.checkpoint))
        self._check_numbers()
        for loss in self.losses:
            check_choice("loss", loss, get_args(LossName))
        several = 0 < len(set(self.losses)) == len(self.losses)
        require(several, f"loss must name one loss or several different ones, got {shown(self.loss)}")
        if self.keep is not None:
            check_choice("keep", self.keep, get_args(Criterion))
        for name in ("bf16", "progress"):
            if getattr(self, name) is not None:
                check_is(name, getattr(self, name), bool, "True, False or None")
        if self.watch is not None:
            check_callable("watch", self.watch)
        if self.adapters is not None:
            known = hasattr(self.adapters, "peft_type")
            require(
                known, f"adapters must be a config of peft, such as LoraConfig, got {shown(self.adapters)}"
            )
        compatible = self.adapters is None or self.frozen_layers == 0
        require(compatible, "adapters already leave every layer as it is: pass them without frozen_layers")

    def _check_numbers(self) -> None:
        for name in ("epochs", "batch_size", "patience"):
            check_whole(name, getattr(self, name), least=1)
        for name in ("frozen_layers", "seed"):
            check_whole(name, getattr(self, name), least=0)
        check_number("learning_rate", self.learning_rate, above=0)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, above=0, finite=False)
        held_out = check_number("held_out", self.held_out, least=0, most=1)
        require(held_out < 1, "held_out must be below 1, got 1: leave pairs to train on")

    @property
    def losses(self) -> tuple[LossName, ...]:
        """The losses that are summed."""
        return (self.loss,) if isinstance(self.loss, str) else tuple(listed("loss", self.loss))

    def with_given(self, **changes: Any) -> FitOptions:
        """These options with those changes that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})
