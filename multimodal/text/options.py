"""How a text model is fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass

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
        for name, least in (("epochs", 1), ("batch_size", 1), ("max_length", MIN_LENGTH)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name in ("learning_rate", "temperature", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, got {value}")
