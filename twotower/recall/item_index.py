"""The changeable index: writes make a new snapshot and publish it by one reference, so searches never wait."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from twotower.errors import UnknownItemError
from twotower.recall.segment import Part, Segment
from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import GRAPH_ABOVE
from twotower.types import Item, Vectors


class ItemIndex:
    """Items by id and by vector, with upsert and delete.

    New items form a new segment; rows of replaced and deleted items die where they are. Neighbouring segments
    merge when the older is no longer more than twice the younger, so there are O(log n) of them and every item
    is rewritten O(log n) times; a segment with more dead than living rows is rewritten too.

    Args:
        dim: length of the vectors.
        graph_above: segments with more rows are searched by a graph, smaller ones exactly.
    """

    def __init__(self, dim: int, *, graph_above: int = GRAPH_ABOVE) -> None:
        self.graph_above = graph_above
        self._homes: dict[str, Segment] = {}
        self._lock = threading.Lock()
        self.snapshot = Snapshot(dim)

    def __len__(self) -> int:
        return len(self._homes)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._homes

    def get(self, item_id: str) -> Item:
        """The item with this id.

        Raises:
            UnknownItemError: it is not indexed.
        """
        segment = self._home(item_id)
        return segment.items[segment.rows[item_id]]

    def vectors(self, item_ids: Sequence[str]) -> Vectors:
        """The vectors of m items, float32 of shape (m, dim).

        Raises:
            UnknownItemError: one is not indexed.
        """
        vectors = np.zeros((len(item_ids), self.snapshot.dim), dtype=np.float32)
        for number, item_id in enumerate(item_ids):
            segment = self._home(item_id)
            vectors[number] = segment.index.vectors(np.array([segment.rows[item_id]]))[0]
        return vectors

    def upsert(self, items: Sequence[Item], vectors: Vectors) -> None:
        """Add items, or replace those with the same ids; all at once.

        Args:
            items: n items with distinct ids.
            vectors: float32 of shape (n, dim), unit rows.
        """
        if not items:
            return
        segment = Segment.build(items, vectors, graph_above=self.graph_above)
        with self._lock:
            parts = self._without([item.id for item in items if item.id in self._homes])
            self._publish([*parts, Part(segment, np.ones(len(segment), dtype=np.bool_))])

    def delete(self, item_ids: Iterable[str]) -> list[str]:
        """Remove the items that are indexed among these, all at once.

        Returns:
            The ids that were indexed, each once.
        """
        with self._lock:
            known = [item_id for item_id in dict.fromkeys(item_ids) if item_id in self._homes]
            parts = self._without(known)
            for item_id in known:
                del self._homes[item_id]
            self._publish(parts)
        return known

    def _home(self, item_id: str) -> Segment:
        try:
            return self._homes[item_id]
        except KeyError:
            raise UnknownItemError(f"no item with id '{item_id}' is indexed") from None

    def _without(self, item_ids: Iterable[str]) -> list[Part]:
        dead: dict[int, list[int]] = defaultdict(list)
        for item_id in item_ids:
            segment = self._homes[item_id]
            dead[id(segment)].append(segment.rows[item_id])
        parts = self.snapshot.parts
        return [part.without(dead[id(part.segment)]) if id(part.segment) in dead else part for part in parts]

    def _publish(self, parts: list[Part]) -> None:
        """Tidy the parts, note where every item of a new segment is, and let searches see them."""
        tidy: list[Part] = []
        for part in parts:
            tidy.append(part)
            while len(tidy) > 1 and tidy[-2].size <= 2 * tidy[-1].size:
                tidy[-2:] = [self._rewrite(tidy[-2:])]
        tidy = [self._rewrite([part]) if 2 * part.size < len(part.segment) else part for part in tidy]
        known = {id(part.segment) for part in self.snapshot.parts}
        for part in tidy:
            if id(part.segment) not in known:
                self._homes.update(
                    (item.id, part.segment) for item in Snapshot(self.snapshot.dim, (part,)).items()
                )
        self.snapshot = Snapshot(self.snapshot.dim, tuple(part for part in tidy if part.size))

    def _rewrite(self, parts: Sequence[Part]) -> Part:
        living = Snapshot(self.snapshot.dim, tuple(parts))
        segment = Segment.build(tuple(living.items()), living.alive_vectors(), graph_above=self.graph_above)
        return Part(segment, np.ones(len(segment), dtype=np.bool_))
