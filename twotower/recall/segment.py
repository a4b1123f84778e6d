"""Immutable batches of items with everything that searching them needs; a row is a position in its segment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from twotower.errors import StaleError
from twotower.recall.filters.columns import Columns, Kind
from twotower.recall.filters.predicates import Predicate
from twotower.recall.selection import Rows, Selection
from twotower.recall.vectors.exact import ExactIndex
from twotower.recall.vectors.index import VectorIndex
from twotower.recall.words.bm25 import LexicalIndex, LivePostings
from twotower.recall.words.item_text import ItemText
from twotower.types import Item, Scores, Vectors

SECONDS_A_DAY = 86_400.0
MAX_CACHED_FILTERS = 8  # per part: most searches use the same few filters
Labels: TypeAlias = NDArray[np.int64]
"""Numbers of item versions, assigned by the item store: ascending, and never reused."""


class Documents(Protocol):
    """The items of a segment, in memory or read from a store."""

    def at(self, rows: Sequence[int]) -> Sequence[Item]:
        """The items of m rows, live in the snapshot that is read."""
        ...

    def known(self, rows: Sequence[int]) -> Sequence[Item | None]:
        """The items of m rows; None for those that were deleted and purged."""
        ...


class PickedItems(Sequence[Item]):
    """Some of many items, none of which is touched before it is read: a batch of searches finds thousands."""

    __slots__ = ("_items", "_rows")

    def __init__(self, items: Sequence[Item], rows: Sequence[int]) -> None:
        self._items = items
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Item: ...
    @overload
    def __getitem__(self, place: slice) -> PickedItems: ...
    def __getitem__(self, place: int | slice) -> Item | PickedItems:
        if isinstance(place, slice):
            return PickedItems(self._items, self._rows[place])
        return self._items[self._rows[place]]

    def __iter__(self) -> Iterator[Item]:
        return map(self._items.__getitem__, self._rows)


@dataclass(frozen=True, slots=True)
class InMemoryDocuments:
    """Items in memory."""

    items: tuple[Item, ...]

    def at(self, rows: Sequence[int]) -> Sequence[Item]:
        """See `Documents.at`."""
        return PickedItems(self.items, rows)

    def known(self, rows: Sequence[int]) -> Sequence[Item | None]:
        """See `Documents.known`."""
        return self.at(rows)


@dataclass(frozen=True, slots=True)
class Segment:
    """Items, vectors, times, attribute columns and postings of n rows.

    Args:
        labels: shape (n,), ascending.
        documents: the n items.
        index: n vectors.
        days: float64 of shape (n,), days since 1970 of each item's time; NaN without one.
        columns: the attributes of the n items.
        lexical: the inverted index of the n items.
    """

    labels: Labels
    documents: Documents
    index: VectorIndex
    days: NDArray[np.float64]
    columns: Columns
    lexical: LexicalIndex

    @classmethod
    def fresh(
        cls, labels: Labels, items: Sequence[Item], vectors: Vectors, text_of: ItemText | None = None
    ) -> Segment:
        """A segment of new rows, quick to build: n labels, n items and float32 vectors of shape (n, dim)."""
        documents = InMemoryDocuments(tuple(items))
        columns = Columns(len(labels), documents.known)
        columns.names  # noqa: B018  # read now: a name is known even after its last item has gone
        lexical = LexicalIndex(len(labels), documents.known, text_of or ItemText())
        return cls(labels, documents, ExactIndex.build(vectors), days_of(items), columns, lexical)

    def __len__(self) -> int:
        return len(self.labels)

    def rows_of(self, labels: Labels) -> Rows:
        """The rows of m labels, shape (m,); -1 for labels of other segments."""
        if not len(self.labels):
            return np.full(len(labels), -1, dtype=np.int64)
        rows = np.minimum(np.searchsorted(self.labels, labels), len(self.labels) - 1)
        return np.where(self.labels[rows] == labels, rows, -1)

    def leaving_out(self, selection: Selection, labels: Labels) -> Selection:
        """A selection without the rows of these labels; labels of other segments are ignored."""
        rows = self.rows_of(labels)
        rows = rows[rows >= 0]
        return selection.without(rows) if rows.size else selection

    def search(
        self, queries: Vectors, k: int, selection: Selection, start: int = 0, first: int = 1
    ) -> tuple[Scores, Rows]:
        """Nearest selected rows.

        Args:
            queries: float32 of shape (q, dim), unit rows.
            k: at least 1.
            selection: of the n rows.
            start: the ordinal of the first row.
            first: see `VectorIndex.search`.

        Returns:
            Inner products and ordinals, each (q, min(k, n)), best first; padded with ordinal -1 and
            score -inf if fewer rows are selected.
        """
        whole = None if selection.count == len(self) else selection
        scores, rows = self.index.search(queries, min(k, len(self)), whole, first)
        if selection.count < rows.shape[1]:
            scores = np.where(rows < 0, -np.inf, scores)
            return scores, np.where(rows < 0, -1, rows + start)
        return scores, rows + start if start else rows


@dataclass(frozen=True)
class Part:
    """A segment and its live rows.

    Args:
        segment: n rows.
        alive: the rows that have not been deleted or replaced.
    """

    segment: Segment
    alive: Selection
    _passing: dict[Predicate, Selection] = field(default_factory=dict, init=False, repr=False, compare=False)
    _kinds: dict[str, frozenset[Kind]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def whole(cls, segment: Segment) -> Part:
        """A segment with all of its rows live."""
        return cls(segment, Selection(np.ones(len(segment), dtype=np.bool_)))

    @property
    def size(self) -> int:
        """Number of live rows."""
        return self.alive.count

    @cached_property
    def newest_days(self) -> NDArray[np.float64]:
        """The newest day of the live rows, and NaN if any is unknown: shape (0,) or (2,)."""
        return newest_or_unknown(self.segment.days[self.alive.rows])

    def vectors(self) -> Vectors:
        """The vectors of the live rows, float32 of shape (size, dim)."""
        return self.segment.index.vectors(self.alive.rows)

    def without(self, labels: Labels) -> Part:
        """The same segment with the rows of these labels deleted; labels of other segments are ignored."""
        alive = self.segment.leaving_out(self.alive, labels)
        return self if alive is self.alive else Part(self.segment, alive)

    def check_current(self, missing_rows: Rows) -> None:
        """Check that no live row has lost its item, as happens when a newer write deleted and purged it.

        Raises:
            StaleError: there is such a row.
        """
        if self.alive.mask[missing_rows].any():
            raise StaleError("this snapshot of the index is stale, its items were deleted: call `refresh`")

    @cached_property
    def postings(self) -> LivePostings:
        """The postings of the segment, and which rows are live.

        Raises:
            StaleError: see `check_current`.
        """
        postings = self.segment.lexical.postings
        self.check_current(self.segment.lexical.missing_rows)
        return LivePostings(postings, self.alive)

    def first_match(self, name: str, values: Sequence[object]) -> NDArray[np.int64]:
        """See `Columns.first_match`, of all rows.

        Raises:
            StaleError: see `check_current`.
        """
        places = self.segment.columns.first_match(name, values)
        self.check_current(self.segment.columns.missing_rows)
        return places

    def kinds(self, name: str) -> frozenset[Kind]:
        """The kinds of values that live rows have for an attribute.

        Raises:
            StaleError: see `check_current`.
        """
        found = self._kinds.get(name)
        if found is None:
            by_kind = self.segment.columns.column(name).by_kind
            self.check_current(self.segment.columns.missing_rows)
            found = frozenset(kind for kind, each in by_kind.items() if each.occurs_in(self.alive.mask))
            if name in self.segment.columns.built:
                self._kinds[name] = found
        return found

    def passing(self, predicate: Predicate) -> Selection:
        """The live rows that pass a filter."""
        found = self._passing.get(predicate)
        if found is None:
            mask = predicate.mask(self.segment.columns)
            self.check_current(self.segment.columns.missing_rows)
            found = Selection(mask) if self.size == len(mask) else self.alive.both(mask)
            if len(self._passing) >= MAX_CACHED_FILTERS:
                self._passing.clear()
            self._passing[predicate] = found
        return found


def days_of(items: Sequence[Item]) -> NDArray[np.float64]:
    """Days since 1970 of the times of n items, shape (n,); NaN for items without one."""
    seconds = (np.nan if item.time is None else item.time.timestamp() for item in items)
    return np.fromiter(seconds, dtype=np.float64, count=len(items)) / SECONDS_A_DAY


def newest_or_unknown(days: NDArray[np.float64]) -> NDArray[np.float64]:
    """The newest of some days, and NaN if any is unknown: a decay factor is largest at one of the two."""
    return np.array([np.fmax.reduce(days), days.min()]) if days.size else days
