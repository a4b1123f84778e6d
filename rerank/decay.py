"""Time decay: how much of its score an item keeps as it ages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from rerank.errors import require

Form: TypeAlias = Literal["exponential", "gaussian", "linear"]
Score = TypeVar("Score", np.float32, np.float64)


@dataclass(frozen=True, slots=True)
class Decay:
    """What age does to a score: `score * ((1 - weight) + weight * d(age))`.

    With `x = max(0, age - offset) / scale`, the freshness `d(age) = floor + (1 - floor) * curve(x)`, where
    the curve is 1 for a new item and `decay` at `x = 1`:

        exponential   decay ** x                       never reaches 0; the same loss every `scale` days
        gaussian      decay ** (x ** 2)                slow at first, then fast
        linear        max(0, 1 - (1 - decay) * x)      0 from `offset + scale / (1 - decay)` days on

    These are the decay functions of Elasticsearch ("Function score query", "Supported decay functions") and
    of Milvus ("Decay ranker"), whose names `scale`, `offset` and `decay` have the same meaning here; `floor` is
    added, as Marqo has it. `Decay.half_life(days=30)` is the one to start with.

    Ages are days before a "now" that the caller chose; an age below 0 (a stamp in the future) counts as 0.

    Args:
        scale: days after `offset` at which the curve is worth `decay`, above 0.
        decay: what the curve is worth there, in (0, 1).
        weight: the largest share of a score that age may take, in [0, 1]; 0 changes nothing at all.
        floor: the freshness that the oldest items keep, in [0, 1].
        offset: days during which an item counts as new, at least 0.
        missing: the freshness of an item of unknown age (NaN), in [floor, 1]; None is halfway between `floor`
            and 1. Halfway is what an item one half-life old gets: 1 would let items without a date pass every
            dated one, and `floor` would bury them as the oldest.
        form: "exponential", "gaussian" or "linear".

    Raises:
        InputError: a parameter is out of its range; the message names it.
    """

    scale: float
    decay: float = 0.5
    weight: float = 0.3
    floor: float = 0.0
    offset: float = 0.0
    missing: float | None = None
    form: Form = "exponential"

    def __post_init__(self) -> None:
        scale, decay, weight = self._number("scale"), self._number("decay"), self._number("weight")
        floor, offset = self._number("floor"), self._number("offset")
        require(scale > 0, f"scale is a number of days above 0, not {scale:g}.")
        require(0 < decay < 1, f"decay is what is left after scale days, above 0 and below 1, not {decay:g}.")
        require(0 <= weight <= 1, f"weight is from 0 (age does not count) to 1, not {weight:g}.")
        require(0 <= floor <= 1, f"floor is from 0 to 1, not {floor:g}.")
        require(offset >= 0, f"offset is a number of days, at least 0, not {offset:g}.")
        if self.missing is not None:
            missing = self._number("missing")
            require(floor <= missing <= 1, f"missing is from floor ({floor:g}) to 1, not {missing:g}.")
        forms = get_args(Form)
        require(self.form in forms, f"form is one of {', '.join(forms)}, not {self.form!r}.")

    def _number(self, name: str) -> float:
        number = _finite(name, getattr(self, name))
        object.__setattr__(self, name, number)  # a plain float, so that `describe` holds plain JSON values
        return number

    @classmethod
    def half_life(
        cls,
        days: float = 30.0,
        weight: float = 0.3,
        floor: float = 0.0,
        offset: float = 0.0,
        missing: float | None = None,
    ) -> Decay:
        """Exponential decay: the freshness above `floor` halves every `days` days. Args: see the class."""
        # Checked here so that the message says `days`, the name the caller used.
        require(_finite("days", days) > 0, f"days is a number above 0, not {days:g}.")
        return cls(scale=days, decay=0.5, weight=weight, floor=floor, offset=offset, missing=missing)

    @classmethod
    def exponential(
        cls,
        scale: float,
        decay: float = 0.5,
        weight: float = 0.3,
        floor: float = 0.0,
        offset: float = 0.0,
        missing: float | None = None,
    ) -> Decay:
        """Elasticsearch's and Milvus's `exp`; `decay` 0.5 makes `scale` the half-life. Args: see the class."""
        return cls(scale, decay, weight, floor, offset, missing, form="exponential")

    @classmethod
    def gaussian(
        cls,
        scale: float,
        decay: float = 0.5,
        weight: float = 0.3,
        floor: float = 0.0,
        offset: float = 0.0,
        missing: float | None = None,
    ) -> Decay:
        """Elasticsearch's and Milvus's `gauss`: gentle on items younger than `scale`. Args: see the class."""
        return cls(scale, decay, weight, floor, offset, missing, form="gaussian")

    @classmethod
    def linear(
        cls,
        scale: float,
        decay: float = 0.5,
        weight: float = 0.3,
        floor: float = 0.0,
        offset: float = 0.0,
        missing: float | None = None,
    ) -> Decay:
        """Elasticsearch's and Milvus's `linear`: a straight line down to `floor`. Args: see the class."""
        return cls(scale, decay, weight, floor, offset, missing, form="linear")

    def value(self, ages: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Freshness d in [floor, 1], shape (n,), of ages in days, shape (n,); NaN gives `missing`."""
        ages = np.asarray(ages, dtype=np.float64)
        with np.errstate(over="ignore", under="ignore"):  # very old is infinitely old
            x = np.maximum(0.0, ages - self.offset) / self.scale
            if self.form == "exponential":
                curve = self.decay**x
            elif self.form == "gaussian":
                curve = self.decay ** (x * x)
            else:
                curve = np.maximum(0.0, 1.0 - (1.0 - self.decay) * x)
        unknown = (1.0 + self.floor) / 2 if self.missing is None else self.missing
        return np.where(np.isnan(ages), unknown, self.floor + (1.0 - self.floor) * curve)

    def factor(self, ages: NDArray[np.float64], /) -> NDArray[np.float64]:
        """What a score is multiplied by: in [1 - weight, 1], shape (n,), of ages in days, shape (n,)."""
        return (1.0 - self.weight) + self.weight * self.value(ages)

    def apply(self, scores: NDArray[Score], ages: NDArray[np.float64], /) -> NDArray[Score]:
        """Scores after decay.

        A score of 0 or less stays as it is: a factor below 1 would raise it and so promote stale items. Give
        bounded scores (the sigmoid of a logit), not raw logits.

        Args:
            scores: shape (n,), float32 or float64, higher is better.
            ages: days, shape (n,); NaN is an unknown age.

        Returns:
            Shape (n,), of the scores' dtype; equal to `scores` bit for bit where `weight` is 0.

        Raises:
            InputError: the shapes differ.
        """
        scores = np.asarray(scores)
        factor = self.factor(ages)
        require(
            scores.shape == factor.shape, f"{scores.shape} scores and {factor.shape} ages differ in shape."
        )
        # Multiplied in float64 and rounded once, so that a float32 score is not rounded twice.
        return np.where(scores > 0, scores * factor, scores).astype(scores.dtype)

    def describe(self) -> dict[str, Any]:
        """The parameters as plain JSON values, for a manifest."""
        return asdict(self)

    @classmethod
    def from_description(cls, values: Mapping[str, Any], /) -> Decay:
        """The inverse of `describe`.

        Raises:
            InputError: a name is unknown, `scale` is missing, or a value is out of its range.
        """
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        require(not unknown, f"{', '.join(unknown)}: not a parameter of a Decay.")
        require("scale" in values, "scale is missing: a Decay needs it.")
        return cls(**values)


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    require(math.isfinite(number), f"{name} is a finite number, not {value!r}.")
    return number
