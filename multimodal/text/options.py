"""How a text model is fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass

from multimodal.checks import check_is, check_number, check_whole

MIN_LENGTH = 3  # a token between the two special ones


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFitOptions:
    """How `TextEncoder.fit` trains.

    Args:
        epochs: passes over the pairs.
        batch_size: pairs in a step; a larger batch has more negatives.
        learning_rate: the highest; it rises to it over the first tenth of the training and then falls to 0.
        temperature: what cosines are divided by, above 0.
        max_seconds: limit in wall-clock time, tokenizing included; the learning rate then follows the time. None is
            no limit.
        max_length: maximum tokens per text during training; None is the model's own maximum.
        bf16: whether matrix products run in bfloat16; None uses it where the hardware has it.
        seed: of the order of the batches and of dropout.
        progress: whether to show a progress bar; None shows it on a terminal.

    Raises:
        ValueError: an option is out of its range.
    """

    epochs: int = 1
    batch_size: int = 64
    learning_rate: float = 5e-5
    temperature: float = 0.05
    max_seconds: float | None = None
    max_length: int | None = None
    bf16: bool | None = None
    seed: int = 0
    progress: bool | None = None

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "batch_size": 1, "seed": 0}.items():
            check_whole(name, getattr(self, name), least=least)
        check_number("learning_rate", self.learning_rate, above=0)
        check_number("temperature", self.temperature, above=0)
        if self.max_seconds is not None:
            check_number("max_seconds", self.max_seconds, above=0, finite=False)
        if self.max_length is not None:
            check_whole("max_length", self.max_length, least=MIN_LENGTH)
        for name in ("bf16", "progress"):
            if getattr(self, name) is not None:
                check_is(name, getattr(self, name), bool, "True, False or None")
