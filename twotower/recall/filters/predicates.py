"""Parsed filters: small immutable records, each evaluated on all rows of a segment at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.errors import FilterError
from twotower.recall.filters.columns import Columns, Kind
from twotower.recall.filters.operands import Operand, fitted

KindsOf: TypeAlias = Callable[[str], Set[Kind]]
"""The kinds of the values that items have for an attribute."""


class Predicate(Protocol):
    """A condition on items."""

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """Which of the n rows match: a new array of shape (n,)."""
        ...

    def attributes(self) -> frozenset[str]:
        """The names it reads, "id" and "time" included."""
        ...

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """The same condition, its operands converted to the kinds that the attributes have.

        Raises:
            FilterError: an operand has no exact value of that kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class Exists:
    """The row has the attribute."""

    name: str

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        return columns.column(self.name).present.copy()

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return frozenset({self.name})

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """See `Predicate`."""
        return self


@dataclass(frozen=True, slots=True)
class Among:
    """One of the row's values equals one of `choices`, given as pairs of kind and key."""

    name: str
    choices: tuple[Operand, ...]

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        mask = np.zeros(len(columns), dtype=np.bool_)
        for kind, encoded in columns.column(self.name).by_kind.items():
            mask |= encoded.among(key for chosen, key in self.choices if chosen == kind)
        return mask

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return frozenset({self.name})

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """See `Predicate`."""
        held = kinds(self.name)
        return replace(self, choices=tuple(fitted(self.name, choice, held) for choice in self.choices))


@dataclass(frozen=True, slots=True)
class Range:
    """One of the row's values is of this kind and on the given side of `key`."""

    name: str
    operator: str
    kind: Kind
    key: Any

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        encoded = columns.column(self.name).by_kind.get(self.kind)
        if encoded is None:
            return np.zeros(len(columns), dtype=np.bool_)
        # Values equal to the key fall into the upper part for $gte and $lt, into the lower part for $gt and $lte.
        bisect = bisect_left if self.operator in ("$gte", "$lt") else bisect_right
        cut = bisect(encoded.values, self.key)
        if self.operator in ("$gt", "$gte"):
            return encoded.between(cut, len(encoded.values))
        return encoded.between(0, cut)

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return frozenset({self.name})

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """See `Predicate`."""
        kind, key = fitted(self.name, (self.kind, self.key), kinds(self.name))
        if kind == "boolean":
            raise FilterError(f"filter on {self.name!r}: {self.operator} cannot order booleans: use $eq")
        return replace(self, kind=kind, key=key)


@dataclass(frozen=True, slots=True)
class Not:
    """`part` does not match."""

    part: Predicate

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        return ~self.part.mask(columns)

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return self.part.attributes()

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """See `Predicate`."""
        return Not(self.part.fitted(kinds))


@dataclass(frozen=True, slots=True)
class Every:
    """Every part matches; true if there are no parts."""

    parts: tuple[Predicate, ...]

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        mask = np.ones(len(columns), dtype=np.bool_)
        for part in self.parts:
            mask &= part.mask(columns)
        return mask

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return frozenset[str]().union(*[part.attributes() for part in self.parts])

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """See `Predicate`."""
        return Every(tuple(part.fitted(kinds) for part in self.parts))


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part matches; false if there are no parts."""

    parts: tuple[Predicate, ...]

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        mask = np.zeros(len(columns), dtype=np.bool_)
        for part in self.parts:
            mask |= part.mask(columns)
        return mask

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return frozenset[str]().union(*[part.attributes() for part in self.parts])

    def fitted(self, kinds: KindsOf, /) -> Predicate:
        """See `Predicate`."""
        return Some(tuple(part.fitted(kinds) for part in self.parts))
