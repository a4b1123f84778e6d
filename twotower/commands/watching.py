"""Where the losses of a training go beside the terminal: TensorBoard, Weights & Biases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from rerank.errors import InputError
from rerank.training.report import Evaluation

Watch: TypeAlias = Callable[[Evaluation], None]


@contextmanager
def tensorboard(folder: Path) -> Iterator[Watch]:
    """Write every look at the losses to an event file.

    Raises:
        InputError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--tensorboard needs TensorBoard: pip install tensorboard.") from error
    with SummaryWriter(str(folder)) as writer:

        def watch(evaluation: Evaluation) -> None:
            for name, value in numbers(evaluation).items():
                writer.add_scalar(name, value, evaluation.step)
            writer.flush()

        yield watch


@contextmanager
def weights_and_biases(project: str, settings: Mapping[str, Any]) -> Iterator[Watch]:
    """Send every look at the losses, and the settings, to a project; nothing of the data.

    Raises:
        InputError: its client is not installed.
    """
    try:
        wandb = import_module("wandb")  # not a dependency, and without it mypy would not know the name
    except ImportError as error:
        raise InputError("--wandb needs the client of Weights & Biases: pip install wandb.") from error
    with wandb.init(project=project, config=dict(settings)) as run:

        def watch(evaluation: Evaluation) -> None:
            run.log(numbers(evaluation), step=evaluation.step)

        yield watch


def numbers(evaluation: Evaluation) -> dict[str, float]:
    """What one look has found, by name, without what it did not measure."""
    found = {
        "loss/train": evaluation.train_loss,
        "loss/held_out": evaluation.held_out_loss,
        "ndcg/held_out": evaluation.held_out_ndcg,
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}
