"""Snapshot isolation: one consistent state of the whole index, which a search reads from start to end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twotower.recall.filters.advice import FilterAdvice
from twotower.recall.filters.columns import ITEM_FIELDS, Kind
from twotower.recall.filters.where import parse_where
from twotower.recall.plan import Plan
from twotower.recall.segment import Labels, Part, Segment
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors.exact import ExactIndex
from twotower.recall.vectors.scores import best, inner_products
from twotower.types import Item, Scores, Vectors, Where

ITEMS_PER_READ = 1_000


@dataclass(frozen=True)
class Snapshot:
    """The parts of an index at one moment. Ordinals number the rows of all parts, deleted rows included.

    Args:
        dim: length of the vectors.
        parts: oldest first.
        advice: warns of filters that are probably misspelled.
    """

    dim: int
    parts: tuple[Part, ...] = ()
    advice: FilterAdvice = field(default_factory=FilterAdvice, compare=False)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Ordinal of each part's first row, and one past the last: shape (parts + 1,)."""
        return np.cumsum([0, *(len(part.segment) for part in self.parts)], dtype=np.int64)

    @cached_property
    def _starts(self) -> list[int]:
        starts: list[int] = self.starts[:-1].tolist()
        return starts

    @cached_property
    def size(self) -> int:
        """Number of live items."""
        return sum(part.size for part in self.parts)

    def allowed(self, where: Where | None, exclude: Labels | None = None) -> tuple[Selection, ...]:
        """The live rows that pass a filter, one selection per part.

        Args:
            where: a filter, or None for all.
            exclude: labels of rows to leave out.

        Raises:
            FilterError: the filter is invalid, or compares an attribute with a value of another type.
        """
        if where is None:
            chosen = tuple(part.alive for part in self.parts)
        else:
            predicate = parse_where(where).fitted(self._kinds)
            self.advice.consider(predicate, self.parts)
            chosen = tuple(part.passing(predicate) for part in self.parts)
        if exclude is None or not exclude.size:
            return chosen
        return tuple(
            part.segment.leaving_out(selection, exclude)
            for part, selection in zip(self.parts, chosen, strict=True)
        )

    def words_of(self, text: str) -> list[str]:
        """The words of a query, tokenized like those of the items; none if there are no items."""
        return self.parts[0].segment.lexical.text_of.words_of(text) if self.parts else []

    def _kinds(self, name: str) -> frozenset[Kind]:
        """The kinds of values that live items have for an attribute."""
        if name in ITEM_FIELDS:
            return frozenset({ITEM_FIELDS[name]})
        return frozenset[Kind]().union(*(part.kinds(name) for part in self.parts))

    def plans(self, k: int, allowed: Sequence[Selection], *, first: int = 1) -> list[Plan]:
        """How `search` would search each part."""
        return [
            part.segment.index.plan(k, selection, first)
            for part, selection in zip(self.parts, allowed, strict=True)
        ]

    def search(
        self,
        queries: Vectors,
        k: int,
        allowed: Sequence[Selection],
        *,
        first: int = 1,
        comparable: bool = False,
    ) -> tuple[Scores, Rows]:
        """Nearest allowed rows of all parts.

        Args:
            queries: float32 of shape (q, dim), unit rows.
            k: at least 1, and at most the number of allowed rows.
            allowed: from `allowed`.
            first: see `VectorIndex.search`.
            comparable: give the scores that `similarity` gives for the same rows, to the last bit.

        Returns:
            Inner products and ordinals, each of shape (q, k), best first; ties are broken by the older write.
        """
        alone = len(self.parts) == 1 and not comparable
        segments = (self.parts[0].segment,) if alone else self._comparable
        found = [
            segment.search(queries, k, selection, start, first)
            for segment, selection, start in zip(segments, allowed, self._starts, strict=True)
            if selection.count
        ]
        if len(found) == 1:
            scores, ordinals = found[0]
            return scores[:, :k], ordinals[:, :k]
        scores = np.concatenate([scores for scores, _ in found], axis=1)
        ordinals = np.concatenate([ordinals for _, ordinals in found], axis=1)
        return best(scores, ordinals, k)

    @cached_property
    def _comparable(self) -> tuple[Segment, ...]:
        """The segments, scoring equal vectors alike whatever their kinds of index."""
        segments = tuple(part.segment for part in self.parts)
        if all(isinstance(segment.index, ExactIndex) for segment in segments):
            return segments
        return tuple(replace(segment, index=segment.index.comparable()) for segment in segments)

    def items(self, allowed: Sequence[Selection] | None = None) -> Iterator[Item]:
        """The live items, or only those of allowed rows, oldest write first."""
        for part, selection in zip(
            self.parts, self.allowed(None) if allowed is None else allowed, strict=True
        ):
            for start in range(0, selection.count, ITEMS_PER_READ):
                yield from part.segment.documents.at(selection.rows[start : start + ITEMS_PER_READ].tolist())

    def labels(self, allowed: Sequence[Selection] | None = None) -> Labels:
        """The labels of the live items, or only of allowed rows, ascending."""
        chosen = self.allowed(None) if allowed is None else allowed
        found = [
            part.segment.labels[selection.rows] for part, selection in zip(self.parts, chosen, strict=True)
        ]
        return np.concatenate([np.zeros(0, dtype=np.int64), *found])

    def ordinals_of(self, labels: Labels) -> Rows:
        """The ordinals of m labels, shape (m,); -1 for labels without a live row."""
        ordinals = np.full(len(labels), -1, dtype=np.int64)
        for part, start in zip(self.parts, self.starts, strict=False):
            rows = part.segment.rows_of(labels)
            here = np.flatnonzero((rows >= 0) & part.alive.mask[rows])
            ordinals[here] = rows[here] + start
        return ordinals

    def items_at(self, ordinals: Rows) -> Sequence[Item]:
        """The items of m rows."""
        if len(self.parts) == 1:
            return self.parts[0].segment.documents.at(ordinals.tolist())
        items: dict[int, Item] = {}
        for number, places, rows in self._by_part(ordinals):
            documents = self.parts[number].segment.documents
            items.update(zip(places.tolist(), documents.at(rows.tolist()), strict=True))
        return [items[place] for place in range(len(ordinals))]

    def days_at(self, ordinals: Rows) -> NDArray[np.float64]:
        """Days since 1970 of m rows, shape (m,); NaN for items without a time."""
        days = np.zeros(len(ordinals))
        for number, places, rows in self._by_part(ordinals):
            days[places] = self.parts[number].segment.days[rows]
        return days

    def first_match_at(self, ordinals: Rows, name: str, values: Sequence[object]) -> NDArray[np.int64]:
        """The first of these values that each of m rows has, shape (m,): see `Columns.first_match`."""
        found = np.zeros(len(ordinals), dtype=np.int64)
        for number, places, rows in self._by_part(ordinals):
            found[places] = self.parts[number].first_match(name, values)[rows]
        return found

    def vectors_at(self, ordinals: Rows) -> Vectors:
        """The vectors of m rows as `search` scores them, float32 of shape (m, dim)."""
        vectors = np.zeros((len(ordinals), self.dim), dtype=np.float32)
        for number, places, rows in self._by_part(ordinals):
            vectors[places] = self._comparable[number].index.vectors(rows)
        return vectors

    def similarity(self, query: Vectors, ordinals: Rows) -> Scores:
        """The inner products of one query with m rows, shape (m,), as `search` computes them."""
        scores: Scores = inner_products(
            query[None], ordinals[None], lambda rows: self.vectors_at(rows[0])[None]
        )[0]
        return scores

    def _by_part(self, ordinals: Rows) -> Iterator[tuple[int, Rows, Rows]]:
        """The numbers of the parts that own ordinals, the positions of these in `ordinals`, and their rows there."""
        if len(self.parts) == 1:
            yield 0, np.arange(len(ordinals)), ordinals
            return
        owners = np.searchsorted(self.starts, ordinals, side="right") - 1
        for number in np.unique(owners):
            places = np.flatnonzero(owners == number)
            yield int(number), places, ordinals[places] - self.starts[number]
