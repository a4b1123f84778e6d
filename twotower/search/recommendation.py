"""Recommendation over the index: a recommender ranks the items that pass a filter by behaviour and content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twotower.recall.segment import Labels
from twotower.recall.selection import Rows, Selection
from twotower.recall.snapshot import Snapshot
from twotower.search.hits import Hits
from twotower.search.request import SearchRequest
from twotower.types import Vectors

if TYPE_CHECKING:
    from twotower.recommend.recommender import Ranked, Recommender


class Recommendation:
    """Answers with a recommender.

    Args:
        recommender: ranks candidates.
        labels_of: the current label of each of m ids, -1 for unknown ones.
    """

    def __init__(self, recommender: Recommender, labels_of: Callable[[Sequence[str]], Labels]) -> None:
        self.recommender = recommender
        self._labels_of = labels_of
        self._located: tuple[Snapshot | None, Rows] = (None, np.zeros(0, dtype=np.int64))

    def answer(self, snapshot: Snapshot, user: str, basket: Sequence[str], request: SearchRequest) -> Hits:
        """Recommend to one user, from one state of the index.

        Args:
            snapshot: of the index.
            user: an id.
            basket: ids of the items in the user's basket, which are not recommended.
            request: how many, and which may be among them.
        """
        shelf = self._shelf(snapshot, request)
        found = self.recommender.rank(user, request.now, shelf, request.end, basket=basket)
        return self._hits(snapshot, found, shelf, request)

    def similar(self, snapshot: Snapshot, item_id: str, request: SearchRequest) -> Hits:
        """Items bought together with one.

        Args:
            snapshot: of the index.
            item_id: of an indexed item.
            request: how many, and which may be among them.
        """
        shelf = self._shelf(snapshot, request)
        found = self.recommender.bought_together(item_id, request.now, shelf, request.end)
        return self._hits(snapshot, found, shelf, request)

    def _hits(self, snapshot: Snapshot, found: Ranked, shelf: IndexShelf, request: SearchRequest) -> Hits:
        page = slice(request.offset, request.end)
        rows, scores = found.rows[page], found.scores[page]
        explanation = {name: values[page] for name, values in found.explanation.items()}
        return Hits(snapshot.items_at(shelf.ordinals[rows]), scores, explanation)

    def _shelf(self, snapshot: Snapshot, request: SearchRequest) -> IndexShelf:
        allowed = snapshot.allowed(request.where, request.exclude)
        return IndexShelf(snapshot, allowed, self._ordinals(snapshot))

    def _ordinals(self, snapshot: Snapshot) -> Rows:
        """The ordinal of each of the recommender's items, -1 for those that are gone; items new to it get rows."""
        known, ordinals = self._located
        ids = self.recommender.item_ids
        if known is snapshot and len(ordinals) == len(ids):
            return ordinals
        ordinals = snapshot.ordinals_of(self._labels_of(ids))
        alive = [
            part.alive.rows + start for part, start in zip(snapshot.parts, snapshot.starts, strict=False)
        ]
        new = np.setdiff1d(np.concatenate([np.zeros(0, dtype=np.int64), *alive]), ordinals)
        if len(new):
            rows = self.recommender.rows_of([item.id for item in snapshot.items_at(new)])
            ordinals = np.concatenate([ordinals, np.full(len(ids) - len(ordinals), -1, dtype=np.int64)])
            ordinals[rows] = new
        self._located = (snapshot, ordinals)
        return ordinals


@dataclass(frozen=True)
class IndexShelf:
    """The items of a snapshot that may be recommended, see `Shelf`.

    Args:
        snapshot: of the index.
        selections: the allowed rows of its parts.
        ordinals: of each of the recommender's items; -1 for those that are gone.
    """

    snapshot: Snapshot
    selections: tuple[Selection, ...]
    ordinals: Rows

    @cached_property
    def allowed(self) -> NDArray[np.bool_]:
        """Which of the recommender's items may be recommended."""
        masks = [np.zeros(0, dtype=np.bool_), *(selection.mask for selection in self.selections)]
        mask = np.append(np.concatenate(masks), False)  # the last is for items that are gone
        allowed: NDArray[np.bool_] = mask[self.ordinals]
        return allowed

    def vectors(self, rows: Rows) -> Vectors:
        """See `Shelf`."""
        vectors = np.zeros((len(rows), self.snapshot.dim), dtype=np.float32)
        here = np.flatnonzero(rows < len(self.ordinals))
        here = here[self.ordinals[rows[here]] >= 0]
        if len(here):
            vectors[here] = self.snapshot.vectors_at(self.ordinals[rows[here]])
        return vectors

    def nearest(self, vector: Vectors, k: int) -> Rows:
        """See `Shelf`."""
        k = min(k, sum(selection.count for selection in self.selections))
        if not k:
            return np.zeros(0, dtype=np.int64)
        found = self.snapshot.search(vector[None], k, self.selections)[1][0]
        rows: Rows = self._rows[found]
        return rows

    @cached_property
    def _rows(self) -> Rows:
        """The recommender's row of each ordinal."""
        rows = np.full(int(self.snapshot.starts[-1]), -1, dtype=np.int64)
        here = np.flatnonzero(self.ordinals >= 0)
        rows[self.ordinals[here]] = here
        return rows
