"""The hits of one query, stored as columns; the `Hit` objects are created lazily."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from twotower.types import Hit, Item


class Hits(Sequence[Hit]):
    """A read-only list of hits, best first.

    Args:
        items: m items.
        scores: shape (m,), descending.
        explanation: the terms of the scores by name, each of shape (m,).
        ranks: by stage, the rank of each item after it, shape (m,), from 1; 0 for items that it did not read.
    """

    __slots__ = ("_explanation", "_hit_list", "_items", "_ranks", "_scores")

    def __init__(
        self,
        items: Sequence[Item],
        scores: NDArray[np.floating],
        explanation: Mapping[str, NDArray[np.floating]],
        ranks: Mapping[str, NDArray[np.intp]] | None = None,
    ) -> None:
        self._items = items
        self._scores = scores
        self._explanation = explanation
        self._ranks = ranks
        self._hit_list: list[Hit] | None = None

    @property
    def scores(self) -> NDArray[np.floating]:
        """The scores of the hits, shape (m,), read-only."""
        scores = self._scores.view()
        scores.flags.writeable = False
        return scores

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> Hit: ...
    @overload
    def __getitem__(self, place: slice) -> list[Hit]: ...
    def __getitem__(self, place: int | slice) -> Hit | list[Hit]:
        return self._hits()[place]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits())

    def __eq__(self, other: object) -> bool:
        return self._hits() == list(other) if isinstance(other, list | Hits) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to a list, which has no hash either

    def __add__(self, other: Sequence[Hit]) -> list[Hit]:
        return [*self, *other]

    def __radd__(self, other: Sequence[Hit]) -> list[Hit]:
        return [*other, *self]

    def __repr__(self) -> str:
        return repr(self._hits())

    def __reduce__(self) -> tuple[Any, ...]:
        return Hits, (list(self._items), self._scores, self._explanation, self._ranks)

    def _hits(self) -> list[Hit]:
        if self._hit_list is None:
            explained = _rows(self._explanation, len(self))
            if self._ranks is None:
                self._hit_list = list(map(Hit, self._items, self._scores.tolist(), explained))
            else:
                ranks = [
                    {stage: rank for stage, rank in row.items() if rank}
                    for row in _rows(self._ranks, len(self))
                ]
                self._hit_list = list(map(Hit, self._items, self._scores.tolist(), explained, ranks))
        return self._hit_list


def _rows(columns: Mapping[str, NDArray[Any]], size: int) -> list[dict[str, Any]]:
    """Named columns of shape (size,) as one mapping per row."""
    if not columns:
        return [{} for _ in range(size)]
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in values]
