"""One dictionary-encoded column per attribute, so that a filter is a few comparisons of small integers.

A column stores the sorted distinct values of each kind once, and for each row a code, the position of its value among
them. A comparison looks its operand up once, by bisection and with Python's own exact comparison (so 2**53 + 1 stays
apart from 2.0**53), and becomes a vectorised comparison of codes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from twotower.types import Item

Kind: TypeAlias = Literal["text", "number", "boolean", "time"]
"""Values compare only within a kind: True is not 1, and "5" is not 5."""

ITEM_FIELDS: Mapping[str, Kind] = {"id": "text", "time": "time"}
"""Names that a filter reads from the item itself, and their kinds."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def kind_and_key(value: object) -> tuple[Kind, Any] | None:
    """The kind of a value and its key for comparisons.

    Args:
        value: a str, bool, int, float or aware datetime.

    Returns:
        The kind and a key that sorts and hashes within it; None for any other type. A datetime's key is its
        distance from 1970, because datetimes in the same zone compare by wall-clock time and ignore `fold`.
    """
    if isinstance(value, str):
        return "text", value
    if isinstance(value, bool):  # before int, which bool is too
        return "boolean", value
    if isinstance(value, int | float):
        return "number", value
    if isinstance(value, datetime):
        return "time", value - EPOCH
    return None


@dataclass(frozen=True, slots=True)
class DictionaryColumn:
    """The values of one kind in one column.

    Args:
        values: the distinct keys, ascending.
        codes: shape (m,), the position in `values` of each of the m entries.
        rows: shape (m,), the row of each entry (a list of text has several entries); None if entry i is row i.
        size: n, the number of rows.
    """

    values: Sequence[Any]
    codes: NDArray[np.int32]
    rows: NDArray[np.int32] | None
    size: int

    def between(self, low: int, high: int) -> NDArray[np.bool_]:
        """Rows with an entry whose code is in [low, high), shape (n,)."""
        return self._spread((self.codes >= low) & (self.codes < high))

    def among(self, keys: Iterable[Any]) -> NDArray[np.bool_]:
        """Rows with an entry that equals one of the keys, shape (n,)."""
        wanted = np.zeros(len(self.values), dtype=np.bool_)
        for key in keys:
            low = bisect_left(self.values, key)
            wanted[low : bisect_right(self.values, key, lo=low)] = True
        return self._spread(wanted[self.codes])

    def occurs_in(self, mask: NDArray[np.bool_]) -> bool:
        """Whether any of the rows set in a mask of shape (n,) has an entry."""
        return bool((mask if self.rows is None else mask[self.rows]).any())

    def take(self, rows: NDArray[np.int64]) -> DictionaryColumn:
        """Only these rows (ascending), renumbered from 0."""
        places = np.full(self.size, -1, dtype=np.int32)
        places[rows] = np.arange(len(rows), dtype=np.int32)
        entries = places if self.rows is None else places[self.rows]
        kept = entries >= 0
        return _dictionary_column(self.values, self.codes[kept], entries[kept], len(rows))

    @classmethod
    def joined(cls, parts: Sequence[DictionaryColumn | None], sizes: Sequence[int]) -> DictionaryColumn:
        """Several columns, concatenated.

        Args:
            parts: the columns; None if one has no value of this kind.
            sizes: how many rows each column has.
        """
        values = sorted(set[Any]().union(*(part.values for part in parts if part is not None)))
        code_of = {value: code for code, value in enumerate(values)}
        codes, rows = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.int32)]
        for part, start in zip(parts, np.cumsum([0, *sizes]).tolist(), strict=False):
            if part is not None:
                moved = np.array([code_of[value] for value in part.values], dtype=np.int32)
                codes.append(moved[part.codes])
                own = np.arange(part.size, dtype=np.int32) if part.rows is None else part.rows
                rows.append(own + np.int32(start))
        return _dictionary_column(values, np.concatenate(codes), np.concatenate(rows), sum(sizes))

    def _spread(self, entries: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if self.rows is None:
            return entries
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[self.rows[entries]] = True
        return mask


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute of all rows.

    Args:
        present: shape (n,), whether the row has the attribute (None means that it does not).
        by_kind: the values by kind, without kinds that do not occur.
    """

    present: NDArray[np.bool_]
    by_kind: Mapping[Kind, DictionaryColumn]

    def take(self, rows: NDArray[np.int64]) -> Column:
        """Only these rows, ascending."""
        return Column(self.present[rows], {kind: each.take(rows) for kind, each in self.by_kind.items()})

    @classmethod
    def joined(cls, parts: Sequence[Column]) -> Column:
        """Several columns, concatenated."""
        sizes = [len(part.present) for part in parts]
        kinds = sorted({kind for part in parts for kind in part.by_kind})
        by_kind = {
            kind: DictionaryColumn.joined([part.by_kind.get(kind) for part in parts], sizes) for kind in kinds
        }
        return Column(np.concatenate([part.present for part in parts]), by_kind)


class Columns:
    """The columns of a batch of items, each built when a filter first uses it.

    Two threads may build the same column at the same time; both get the same result, and either is kept.

    Args:
        size: n, the number of rows.
        read: returns the items of some rows, which passed `check_item` and must not change afterwards; None for
            rows that were deleted and purged.

    Attributes:
        built: the columns built so far, by name.
        missing_rows: rows whose items could not be read any more, ascending; a snapshot in which one of them is live
            is stale.
    """

    def __init__(self, size: int, read: Callable[[Sequence[int]], Sequence[Item | None]]) -> None:
        self._size = size
        self._read = read
        self.built: dict[str, Column] = {}
        self._matches: dict[tuple[object, ...], NDArray[np.int64]] = {}
        self.missing_rows: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    @classmethod
    def of(cls, items: Sequence[Item]) -> Columns:
        """The columns of items in memory."""
        return cls(len(items), lambda rows: [items[row] for row in rows])

    @classmethod
    def joined(
        cls,
        parts: Sequence[tuple[Columns, NDArray[np.int64]]],
        read: Callable[[Sequence[int]], Sequence[Item | None]],
    ) -> Columns:
        """The chosen rows of several batches, concatenated; a column that any of them has built is built here too.

        Args:
            parts: columns, and their rows to keep, ascending.
            read: as for the constructor, of the concatenated rows.
        """
        joined = cls(sum(len(rows) for _, rows in parts), read)
        for name in sorted({name for columns, _ in parts for name in columns.built}):
            joined.built[name] = Column.joined([columns.column(name).take(rows) for columns, rows in parts])
        joined.missing_rows = moved_rows([(columns.missing_rows, rows) for columns, rows in parts])
        if any(columns.known_names is not None for columns, _ in parts):
            joined.names = frozenset().union(*(columns.names for columns, _ in parts))
        return joined

    def __len__(self) -> int:
        return self._size

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that items have, or had before a merge: "id", "time", and those of their attributes."""
        items = self._items()
        held = (
            name
            for item in items
            if item is not None
            for name, value in item.attributes.items()
            if value is not None
        )
        return frozenset(held).union(ITEM_FIELDS)

    @property
    def known_names(self) -> list[str] | None:
        """The names, sorted, if they are computed already."""
        return sorted(self.names) if "names" in vars(self) else None

    def column(self, name: str) -> Column:
        """The column of one attribute, or of the items' own "id" or "time"; empty if no item has it."""
        if name not in self.built:
            if name not in self.names:  # not kept: filters may name anything
                return Column(np.zeros(self._size, dtype=np.bool_), {})
            self.built[name] = _build(self._values(name))
        return self.built[name]

    def first_match(self, name: str, values: Sequence[object]) -> NDArray[np.int64]:
        """Which of some values each row has.

        Args:
            name: of the attribute.
            values: m scalars, as in a filter.

        Returns:
            Shape (n,): the position of the first of the values that the row has; m where it has none.
        """
        wanted = [kind_and_key(value) for value in values]
        key = (name, *wanted)
        found = self._matches.get(key)
        if found is None:
            by_kind = self.column(name).by_kind
            found = np.full(self._size, len(wanted), dtype=np.int64)
            for position, pair in reversed(list(enumerate(wanted))):
                if pair is not None and pair[0] in by_kind:
                    found[by_kind[pair[0]].among([pair[1]])] = position
            self._matches = {key: found}  # usually a single decay is in use
        return found

    def _items(self) -> Sequence[Item | None]:
        items = self._read(range(self._size))
        missing = np.array([row for row, item in enumerate(items) if item is None], dtype=np.int64)
        self.missing_rows = np.union1d(
            self.missing_rows, missing
        )  # another thread may have read before this one, or after
        return items

    def _values(self, name: str) -> list[object]:
        items = self._items()
        if name in ITEM_FIELDS:
            return [None if item is None else getattr(item, name) for item in items]
        return [None if item is None else item.attributes.get(name) for item in items]


def moved_rows(parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> NDArray[np.int64]:
    """The new row numbers of some rows after the kept rows of several batches are concatenated.

    Args:
        parts: for each batch, the rows to look up and the rows kept, both ascending.
    """
    found = [np.zeros(0, dtype=np.int64)]
    start = 0
    for wanted, rows in parts:
        found.append(np.flatnonzero(np.isin(rows, wanted)) + start)
        start += len(rows)
    return np.concatenate(found)


def _build(values: Sequence[object]) -> Column:
    entries: dict[Kind, tuple[list[Any], list[int]]] = {}
    for row, value in enumerate(values):
        for part in _parts(value):
            if (pair := kind_and_key(part)) is not None:
                keys, rows = entries.setdefault(pair[0], ([], []))
                keys.append(pair[1])
                rows.append(row)
    present = np.fromiter((value is not None for value in values), dtype=np.bool_, count=len(values))
    return Column(
        present, {kind: _encoded(keys, rows, len(values)) for kind, (keys, rows) in entries.items()}
    )


def _parts(value: object) -> Sequence[object]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value
    return (value,)


def _encoded(keys: Sequence[Any], rows: Sequence[int], size: int) -> DictionaryColumn:
    values = sorted(set(keys))
    code_of = {key: code for code, key in enumerate(values)}
    codes = np.fromiter((code_of[key] for key in keys), dtype=np.int32, count=len(keys))
    return _dictionary_column(values, codes, np.array(rows, dtype=np.int32), size)


def _dictionary_column(
    values: Sequence[Any], codes: NDArray[np.int32], rows: NDArray[np.int32], size: int
) -> DictionaryColumn:
    every_row_once = len(rows) == size and bool((rows == np.arange(size)).all())
    return DictionaryColumn(values, codes, None if every_row_once else rows, size)
