"""Parsed filters: small immutable records, each evaluated on all rows of a segment at once."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.recall.columns import Columns, Kind


class Predicate(Protocol):
    """A condition on items."""

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """Which of the n rows match: a new array of shape (n,)."""
        ...

    def attributes(self) -> frozenset[str]:
        """The names it reads, "id" and "time" included."""
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


@dataclass(frozen=True, slots=True)
class Among:
    """One of the row's values equals one of `choices`, given as pairs of kind and key."""

    name: str
    choices: tuple[tuple[Kind, Any], ...]

    def mask(self, columns: Columns, /) -> NDArray[np.bool_]:
        """See `Predicate`."""
        mask = np.zeros(len(columns), dtype=np.bool_)
        for kind, encoded in columns.column(self.name).by_kind.items():
            mask |= encoded.among(key for chosen, key in self.choices if chosen == kind)
        return mask

    def attributes(self) -> frozenset[str]:
        """See `Predicate`."""
        return frozenset({self.name})


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
