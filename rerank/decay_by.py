"""Time decay whose curve depends on an attribute: fashion is old after weeks, a hammer is not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rerank.decay import Decay
from rerank.errors import require

Value: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class DecayBy:
    """A `Decay` for each value of one attribute, such as the category.

        DecayBy("category", {"fashion": Decay.half_life(days=14), "tools": Decay.half_life(days=365)},
                default=Decay.half_life(days=60))

    An item that holds several of the values, in a list of text, takes the first of them as they stand in `decays`.
    Values are told apart as filters do: True is not 1, and "5" is not 5.

    Args:
        attribute: its name.
        decays: what age does to the items with a value.
        default: what it does to all others.

    Raises:
        InputError: one of them is of another kind; the message names it.
    """

    attribute: str
    decays: Mapping[Value, Decay]
    default: Decay

    def __post_init__(self) -> None:
        require(isinstance(self.attribute, str) and self.attribute != "", "attribute is a name, not empty.")
        require(isinstance(self.decays, Mapping), f"decays is a Decay for each value, not {self.decays!r}.")
        for value, decay in self.decays.items():
            known = isinstance(value, str | int | float) and (isinstance(value, str) or math.isfinite(value))
            require(known, f"decays has the value {value!r}: values are text, finite numbers, True or False.")
            require(isinstance(decay, Decay), f"decays[{value!r}] is a Decay, not {decay!r}.")
        require(isinstance(self.default, Decay), f"default is a Decay, not {self.default!r}.")
        object.__setattr__(self, "decays", dict(self.decays))  # what the caller does to it later is not ours

    @property
    def values(self) -> Sequence[Value]:
        """The values that have a decay of their own."""
        return tuple(self.decays)

    def factor(self, ages: NDArray[np.float64], /) -> NDArray[np.float64]:
        """As `Decay.factor`, of items with none of the values."""
        return self.default.factor(ages)

    def factor_of(self, ages: NDArray[np.float64], places: NDArray[np.int64], /) -> NDArray[np.float64]:
        """What a score is multiplied by: in [0, 1], shape (n,).

        Args:
            ages: days, shape (n,); NaN is an unknown age.
            places: which of `values` each item has, shape (n,); their number where it has none.
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
        require(set(values) == names, f"a DecayBy has {', '.join(sorted(names))}, not {', '.join(values)}.")
        decays = {value: Decay.from_description(decay) for value, decay in values["decays"]}
        return cls(values["attribute"], decays, Decay.from_description(values["default"]))
