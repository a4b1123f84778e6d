"""Write the losses of a training run to TensorBoard or Weights & Biases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from rerank.training.report import TrainingEvaluation
from twotower.errors import needs_extra

Watch: TypeAlias = Callable[[TrainingEvaluation], None]


@contextmanager
def tensorboard(folder: Path) -> Iterator[Watch]:
    """Write the losses of every evaluation to an event file.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    with needs_extra("train", "--tensorboard"):
        from torch.utils.tensorboard import SummaryWriter
    with SummaryWriter(str(folder)) as writer:

        def watch(evaluation: TrainingEvaluation) -> None:
            for name, value in numbers(evaluation).items():
                writer.add_scalar(name, value, evaluation.step)
            writer.flush()

        yield watch


@contextmanager
def weights_and_biases(project: str, settings: Mapping[str, Any]) -> Iterator[Watch]:
    """Send the settings, and the losses of every evaluation, to a project; no data is sent.

    Raises:
        MissingExtraError: its client is not installed.
    """
    with needs_extra("train", "--wandb"):
        wandb = import_module("wandb")  # by name, so that mypy does not need it to be installed
    with wandb.init(project=project, config=dict(settings)) as run:

        def watch(evaluation: TrainingEvaluation) -> None:
            run.log(numbers(evaluation), step=evaluation.step)

        yield watch


def numbers(evaluation: TrainingEvaluation) -> dict[str, float]:
    """The losses of one evaluation by name, without those that were not measured."""
    found = {
        "loss/train": evaluation.train_loss,
        "loss/held_out": evaluation.held_out_loss,
        "ndcg/held_out": evaluation.held_out_ndcg,
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}
