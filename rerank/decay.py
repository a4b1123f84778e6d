"""Time decay: how much of its score an item keeps as it ages, the same for all items or by an attribute."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from reprlib import repr as shown
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rerank.checks import check_choice, check_is, check_number, listed, numbers_of
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
        self._check("scale", above=0)
        self._check("decay", above=0, most=1)
        require(self.decay < 1, "decay must be below 1, got 1: nothing would fade")
        self._check("weight", least=0, most=1)
        self._check("floor", least=0, most=1)
        self._check("offset", least=0)
        if self.missing is not None:
            self._check("missing", least=self.floor, most=1)
        check_choice("form", self.form, get_args(Form))

    def _check(self, name: str, **limits: Any) -> None:
        number = check_number(name, getattr(self, name), **limits)
        object.__setattr__(self, name, number)  # a plain float, so that `describe` returns plain JSON

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
        check_number("days", days, above=0)
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
        ages = numbers_of("ages", ages)
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
        check_is("the description of a Decay", values, Mapping, "a mapping")
        unknown = [name for name in values if name not in cls.__dataclass_fields__]
        require(not unknown, f"a Decay has no parameter named {shown(unknown[:1])}")
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
            f"attribute must be a non-empty name, got {shown(self.attribute)}",
        )
        check_is("decays", self.decays, Mapping, "a mapping of values to Decays")
        for value, decay in self.decays.items():
            if not isinstance(value, str | bool):
                check_number("a value of decays that is not text, True or False", value)
            check_is(f"decays[{shown(value)}]", decay, Decay, "a Decay")
        check_is("default", self.default, Decay, "a Decay")
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
        check_is("the description of a DecayBy", values, Mapping, "a mapping")
        names = cls.__dataclass_fields__.keys()
        require(
            values.keys() == names,
            f"the description of a DecayBy must have {', '.join(names)}, got {shown(list(values))}",
        )
        pairs = [listed("each of decays", pair) for pair in listed("decays", values["decays"])]
        require(
            all(len(pair) == 2 and isinstance(pair[0], Hashable) for pair in pairs),
            f"decays must be pairs of a value and the description of its Decay, got {shown(values['decays'])}",
        )
        decays = {value: Decay.from_description(decay) for value, decay in pairs}
        return cls(values["attribute"], decays, Decay.from_description(values["default"]))
