"""The arguments of a fit, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rerank.errors import require
from rerank.training.losses import LossName
from rerank.training.report import Evaluation, Keep

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """How to train; see `CrossEncoderReranker.fit`.

    Raises:
        InputError: an argument is out of its range; the message names it.
    """

    loss: tuple[LossName, ...]
    epochs: int
    learning_rate: float
    batch_size: int
    held_out: float
    keep: Keep | None
    patience: int
    max_seconds: float | None
    bf16: bool | None
    seed: int
    frozen_layers: int
    adapters: PeftConfig | None
    checkpoint: Path | None
    watch: Callable[[Evaluation], None] | None
    progress: bool | None

    def __post_init__(self) -> None:
        names = get_args(LossName)
        right = set(self.loss) <= set(names) and len(set(self.loss)) == len(self.loss) > 0
        require(right, f"loss is one of {names} or several different ones, not {self.loss}.")
        for name, least in {"epochs": 1, "batch_size": 1, "patience": 1, "frozen_layers": 0}.items():
            value = getattr(self, name)
            require(value >= least, f"{name} is at least {least}, not {value}.")
        require(self.learning_rate > 0, f"learning_rate is above 0, not {self.learning_rate}.")
        in_time = self.max_seconds is None or self.max_seconds > 0
        require(in_time, f"max_seconds is above 0, not {self.max_seconds}.")
        require(0 <= self.held_out < 1, f"held_out is a share from 0 to below 1, not {self.held_out}.")
        require(self.keep in (None, *get_args(Keep)), f"keep is one of {get_args(Keep)}, not {self.keep!r}.")
        one = self.adapters is None or self.frozen_layers == 0
        require(one, "adapters leave every layer as it is already: pass them without frozen_layers.")
