"""One consistent state of the whole index, which a search reads from beginning to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twotower.errors import FilterError
from twotower.recall.filters import parse_where
from twotower.recall.segment import Labels, Part
from twotower.recall.vector_index import Mask, Rows
from twotower.types import Item, Scores, Vectors, Where


@dataclass(frozen=True)
class Snapshot:
    """The parts of an index at one moment. A row's ordinal counts through all parts, dead rows included.

    Args:
        dim: length of the vectors.
        parts: never changed.
    """

    dim: int
    parts: tuple[Part, ...] = ()

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Ordinal of each part's first row, and one past the last: shape (parts + 1,)."""
        return np.cumsum([0, *(len(part.segment) for part in self.parts)], dtype=np.int64)

    @cached_property
    def size(self) -> int:
        """Number of items that are alive."""
        return sum(part.size for part in self.parts)

    def items(self, allowed: Sequence[Mask] | None = None) -> Iterator[Item]:
        """The items that are alive, or only those of the rows that `allowed` gave, oldest write first."""
        masks = [part.alive for part in self.parts] if allowed is None else allowed
        for part, mask in zip(self.parts, masks, strict=True):
            for rows in _chunks(np.flatnonzero(mask)):
                yield from part.segment.documents.at(rows.tolist())

    def labels(self, allowed: Sequence[Mask] | None = None) -> Labels:
        """The labels of the items that are alive, or only of the rows that `allowed` gave, ascending."""
        masks = [part.alive for part in self.parts] if allowed is None else allowed
        found = [part.segment.labels[mask] for part, mask in zip(self.parts, masks, strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *found])

    def ordinals_of(self, labels: Labels) -> Rows:
        """The rows of m labels that are alive, shape (m,); -1 where there is no such row."""
        ordinals = np.full(len(labels), -1, dtype=np.int64)
        for part, start in zip(self.parts, self.starts, strict=False):
            rows = part.segment.rows_of(labels)
            here = np.flatnonzero((rows >= 0) & part.alive[rows])
            ordinals[here] = rows[here] + start
        return ordinals

    def allowed(self, where: Where | None) -> tuple[Mask, ...]:
        """Rows that are alive and pass a filter, one mask a part.

        Args:
            where: a filter, or None for all.

        Raises:
            FilterError: the filter cannot be understood, or names an attribute that no item has.
        """
        if where is None:
            return tuple(part.alive for part in self.parts)
        predicate = parse_where(where)
        known = frozenset().union(*(part.segment.columns.names for part in self.parts))
        if self.parts and (missing := predicate.attributes() - known):
            raise FilterError(
                f"no item has the attribute {', '.join(map(repr, sorted(missing)))}: "
                f"filter on one of {', '.join(sorted(known))}"
            )
        return tuple(part.alive & predicate.mask(part.segment.columns) for part in self.parts)

    def search(self, query: Vectors, k: int, allowed: Sequence[Mask]) -> tuple[Scores, Rows]:
        """Nearest allowed rows over all parts.

        Args:
            query: float32 of shape (dim,), unit length.
            k: at least 1.
            allowed: as `allowed` gives it.

        Returns:
            Inner products and ordinals, each of shape (min(k, allowed rows),), best first, the older write first
            among equals.
        """
        scores: list[Scores] = [np.zeros(0, dtype=np.float32)]
        ordinals: list[Rows] = [np.zeros(0, dtype=np.int64)]
        for part, start, mask in zip(self.parts, self.starts, allowed, strict=False):
            whole = None if mask.all() else mask
            _, rows = part.segment.index.search(query[None, :], min(k, len(part.segment)), whole)
            found = rows[0][rows[0] >= 0]
            # FAISS's own sums depend on the batch; these do not, so that a batch scores as its queries would alone.
            scores.append(inner_products(part.segment.index.vectors(found), query))
            ordinals.append(found + start)
        flat_scores, flat_ordinals = np.concatenate(scores), np.concatenate(ordinals)
        order = np.lexsort((flat_ordinals, -flat_scores))[:k]
        return flat_scores[order], flat_ordinals[order]

    def items_at(self, ordinals: Rows) -> list[Item]:
        """The items of m rows."""
        items: dict[int, Item] = {}
        for part, places, rows in self._by_part(ordinals):
            items.update(zip(places.tolist(), part.segment.documents.at(rows.tolist()), strict=True))
        return [items[place] for place in range(len(ordinals))]

    def days_at(self, ordinals: Rows) -> NDArray[np.float64]:
        """Days since 1970 of m rows, shape (m,); NaN where the item has no time."""
        days = np.zeros(len(ordinals))
        for part, places, rows in self._by_part(ordinals):
            days[places] = part.segment.days[rows]
        return days

    def vectors_at(self, ordinals: Rows) -> Vectors:
        """The vectors of m rows, float32 of shape (m, dim)."""
        vectors = np.zeros((len(ordinals), self.dim), dtype=np.float32)
        for part, places, rows in self._by_part(ordinals):
            vectors[places] = part.segment.index.vectors(rows)
        return vectors

    def alive_vectors(self) -> Vectors:
        """The vectors of the items that are alive, in the order of `items`, float32 of shape (size, dim)."""
        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        return np.concatenate([*rows, *(part.vectors() for part in self.parts)])

    def _by_part(self, ordinals: Rows) -> Iterator[tuple[Part, Rows, Rows]]:
        """Each part that owns some of the ordinals, their places among them, and their rows in its segment."""
        owners = np.searchsorted(self.starts, ordinals, side="right") - 1
        for number in np.unique(owners):
            places = np.flatnonzero(owners == number)
            yield self.parts[number], places, ordinals[places] - self.starts[number]


def inner_products(vectors: Vectors, query: Vectors) -> Scores:
    """Inner products of m rows with one vector, shape (m,), each independent of the other rows.

    Summed in float64, where the order of additions that BLAS happens to choose no longer shows in float32.
    """
    return np.asarray(vectors.astype(np.float64) @ query.astype(np.float64), dtype=np.float32)


def _chunks(rows: Rows, size: int = 1_000) -> Iterator[Rows]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
