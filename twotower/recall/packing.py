"""Columns and postings as plain JSON values and arrays, and back, for the index files of a store.

Rows whose items are gone are not listed: whoever reads the files finds those rows deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.recall.filters.columns import Column, Columns, DictionaryColumn, Kind
from twotower.recall.words.bm25 import LexicalIndex, Postings
from twotower.recall.words.item_text import ItemText
from twotower.types import Item

MICROSECOND = timedelta(microseconds=1)
Read = Callable[[Sequence[int]], Sequence[Item | None]]


@dataclass(frozen=True, slots=True)
class Packed:
    """A serialised object.

    Args:
        values: JSON values.
        arrays: by name.
    """

    values: Any
    arrays: Mapping[str, NDArray[Any]]


def pack_columns(columns: Columns) -> Packed:
    """Serialise the columns that filters have used so far."""
    values: list[Any] = []
    arrays: dict[str, NDArray[Any]] = {}
    for number, (name, column) in enumerate(columns.built.items()):
        arrays[f"{number}.present"] = column.present
        kinds = {}
        for kind, encoded in column.by_kind.items():
            kinds[kind] = [value // MICROSECOND if kind == "time" else value for value in encoded.values]
            arrays[f"{number}.{kind}.codes"] = encoded.codes
            if encoded.rows is not None:
                arrays[f"{number}.{kind}.rows"] = encoded.rows
        values.append([name, kinds])
    return Packed({"names": columns.known_names, "columns": values}, arrays)


def unpack_columns(packed: Packed, size: int, read: Read) -> Columns:
    """Restore what `pack_columns` serialised.

    Args:
        packed: its result.
        size: number of rows.
        read: as for `Columns`.
    """
    columns = Columns(size, read)
    for number, (name, kinds) in enumerate(packed.values["columns"]):
        by_kind = {kind: _column(packed, number, kind, values, size) for kind, values in kinds.items()}
        columns.built[name] = Column(packed.arrays[f"{number}.present"].astype(np.bool_), by_kind)
    if packed.values["names"] is not None:
        columns.names = frozenset(packed.values["names"])
    return columns


def _column(packed: Packed, number: int, kind: Kind, values: Sequence[Any], size: int) -> DictionaryColumn:
    keys = [value * MICROSECOND for value in values] if kind == "time" else values
    rows = packed.arrays.get(f"{number}.{kind}.rows")
    codes = packed.arrays[f"{number}.{kind}.codes"].astype(np.int32)
    return DictionaryColumn(keys, codes, None if rows is None else rows.astype(np.int32), size)


def pack_lexical(lexical: LexicalIndex) -> Packed:
    """Serialise the postings, built now if no search has needed them yet: the next process may only read."""
    postings = lexical.postings
    counts = postings.counts
    arrays = {"data": counts.data, "indices": counts.indices, "indptr": counts.indptr}
    words = sorted(postings.columns, key=postings.columns.__getitem__)
    return Packed(words, arrays | {"lengths": postings.lengths})


def unpack_lexical(packed: Packed, size: int, read: Read, text_of: ItemText) -> LexicalIndex:
    """Restore what `pack_lexical` serialised."""
    from scipy.sparse import csc_matrix

    arrays = packed.arrays
    counts = csc_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), (size, len(packed.values)))
    columns = {word: column for column, word in enumerate(packed.values)}
    lexical = LexicalIndex(size, read, text_of)
    lexical.postings = Postings(counts, columns, arrays["lengths"].astype(np.float32))
    return lexical
