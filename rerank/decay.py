"""Time decay: how much of its score an item keeps as it ages, the same for all items or by an attribute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rerank.errors import require

Form: TypeAlias = Literal["exponential", "gaussian", "linear"]
Value: TypeAlias = str | int | float | bool
"""Of an attribute."""


@dataclass(frozen=True, slots=True)
class Decay:
    """The effect of age on a score: `score * ((1 - weight) + weight * d(age))`.

    With `x = max(0, age - offset) / scale`, the freshness `d(age) = floor + (1 - floor) * curve(x)`, where
    the curve is 1 for a new item and `decay` at `x = 1`:

        exponential   decay ** x                       never reaches 0; loses the same share every `scale` days
        gaussian      decay ** (x ** 2)                slow at first, then fast
        linear        max(0, 1 - (1 - decay) * x)      0 from `offset + scale / (1 - decay)` days on

    These are the decay functions of Elasticsearch ("Function score query", "Supported decay functions") and
    of Milvus ("Decay ranker"); `scale`, `offset` and `decay` mean the same as there, and `floor` is an addition
    that Marqo has too. Start with `Decay.half_life(days=30)`.

    Ages are in days before a "now" of the caller's choice; an age below 0 (a time in the future) counts as 0.

    Args:
        scale: days after `offset` at which the curve has fallen to `decay`, above 0.
        decay: the value of the curve there, in (0, 1).
        weight: the largest share of a score that age can take away, in [0, 1]; 0 changes nothing at all.
        floor: the freshness that the oldest items keep, in [0, 1].
        offset: days during which an item counts as new, at least 0.
        missing: the freshness of an item of unknown age (NaN), in [floor, 1]; None is halfway between `floor`
            and 1, like an item one half-life old: 1 would rank items without a date above every dated one, and
            `floor` would bury them below the oldest.
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
        require(scale > 0, f"scale must be above 0 days, got {scale:g}")
        require(0 < decay < 1, f"decay must be above 0 and below 1, got {decay:g}")
        require(0 <= weight <= 1, f"weight must be between 0 (age is ignored) and 1, got {weight:g}")
        require(0 <= floor <= 1, f"floor must be between 0 and 1, got {floor:g}")
        require(offset >= 0, f"offset must be at least 0 days, got {offset:g}")
        if self.missing is not None:
            missing = self._number("missing")
            require(
                floor <= missing <= 1, f"missing must be between floor ({floor:g}) and 1, got {missing:g}"
            )
        forms = get_args(Form)
        require(
            isinstance(self.form, str) and self.form in forms,
            f"form must be one of {', '.join(forms)}, got {self.form!r}",
        )

    def _number(self, name: str) -> float:
        number = _finite(name, getattr(self, name))
        object.__setattr__(self, name, number)  # a plain float, so that `describe` returns plain JSON
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
        # Checked here so that the message names `days`, as the caller did.
        require(_finite("days", days) > 0, f"days must be above 0, got {days:g}")
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
        """The factor of a score: in [1 - weight, 1], shape (n,), of ages in days, shape (n,).

        Multiply only scores above 0, such as the sigmoid of a logit: a factor below 1 would raise a negative score
        and so promote stale items.
        """
        return (1.0 - self.weight) + self.weight * self.value(ages)

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
        require(not unknown, f"a Decay has no parameter named {', '.join(unknown)}")
        require("scale" in values, "scale is missing: every Decay has one")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class DecayBy:
    """A `Decay` for each value of one attribute, such as the category.

        DecayBy("category", {"fashion": Decay.half_life(days=14), "tools": Decay.half_life(days=365)},
                default=Decay.half_life(days=60))

    An item whose attribute is a list with several of the values takes the one that comes first in `decays`. Values
    are compared as in filters: True is not 1, and "5" is not 5.

    Args:
        attribute: its name.
        decays: the decay of items with each value.
        default: the decay of all other items.

    Raises:
        InputError: an argument is of the wrong type; the message names it.
    """

    attribute: str
    decays: Mapping[Value, Decay]
    default: Decay

    def __post_init__(self) -> None:
        require(
            isinstance(self.attribute, str) and self.attribute != "",
            f"attribute must be a name that is not empty, got {self.attribute!r}",
        )
        require(isinstance(self.decays, Mapping), f"decays must map values to Decays, got {self.decays!r}")
        for value, decay in self.decays.items():
            known = isinstance(value, str | int | float) and (isinstance(value, str) or math.isfinite(value))
            require(
                known, f"every value of decays must be text, a finite number, True or False, got {value!r}"
            )
            require(isinstance(decay, Decay), f"decays[{value!r}] must be a Decay, got {decay!r}")
        require(isinstance(self.default, Decay), f"default must be a Decay, got {self.default!r}")
        object.__setattr__(self, "decays", dict(self.decays))  # later changes by the caller must not reach it

    @property
    def values(self) -> Sequence[Value]:
        """The values with a decay of their own."""
        return tuple(self.decays)

    def factor(self, ages: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Like `Decay.factor`, for items with none of the values."""
        return self.default.factor(ages)

    def factor_of(self, ages: NDArray[np.float64], places: NDArray[np.int64], /) -> NDArray[np.float64]:
        """The factor of a score: in [0, 1], shape (n,).

        Args:
            ages: days, shape (n,); NaN is an unknown age.
            places: the index into `values` of each item's value, shape (n,); `len(values)` where it has none.
        """
        curves = (*self.decays.values(), self.default)
        factors = np.empty(len(ages))
        for place in np.unique(places).tolist():
            rows = places == place
            factors[rows] = curves[place].factor(ages[rows])
        return factors

    def describe(self) -> dict[str, Any]:
        """The parameters as plain JSON values, for a manifest."""
        decays = [[value, decay.describe()] for value, decay in self.decays.items()]
        return {"attribute": self.attribute, "decays": decays, "default": self.default.describe()}

    @classmethod
    def from_description(cls, values: Mapping[str, Any], /) -> DecayBy:
        """The inverse of `describe`.

        Raises:
            InputError: a name is unknown or missing, or a value is out of its range.
        """
        names = set(cls.__dataclass_fields__)
        require(
            set(values) == names, f"a DecayBy must have {', '.join(sorted(names))}, got {', '.join(values)}"
        )
        decays = {value: Decay.from_description(decay) for value, decay in values["decays"]}
        return cls(values["attribute"], decays, Decay.from_description(values["default"]))


def _finite(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    require(math.isfinite(number), f"{name} must be a finite number, got {value!r}")
    return number
