"""The changeable index: writes make a new snapshot and publish it by one reference, so searches never wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from twotower.recall.segment import Documents, Labels, Part, Segment
from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import GRAPH_ABOVE, build_index


class ItemIndex:
    """Items by label and by vector, of which some die and others come.

    New items form a new segment; rows of replaced and deleted items die where they are. Neighbouring segments
    merge when the older is no longer more than twice the younger, so there are O(log n) of them and every item
    is rewritten O(log n) times; a segment with more dead than living rows is rewritten too.

    Args:
        dim: length of the vectors.
        graph_above: segments with more rows are searched by a graph, smaller ones exactly.
        parts: to start with.
        documents: where items of merged segments are read from; None keeps them in memory.
    """

    def __init__(
        self,
        dim: int,
        *,
        graph_above: int = GRAPH_ABOVE,
        parts: Sequence[Part] = (),
        documents: Callable[[Labels], Documents] | None = None,
    ) -> None:
        self.graph_above = graph_above
        self._documents = documents
        self._lock = threading.Lock()
        self.snapshot = Snapshot(dim, tuple(parts))

    def update(self, dead: Labels, fresh: Segment | None = None) -> None:
        """Let rows die and others come, all at once.

        Args:
            dead: labels, ascending.
            fresh: labels above all that were ever here.
        """
        with self._lock:
            parts = [part.without(dead) for part in self.snapshot.parts]
            if fresh is not None and len(fresh):
                parts.append(Part.whole(fresh))
            self._publish(parts)

    def compact(self) -> None:
        """Make one segment of all that is alive."""
        with self._lock:
            parts = self.snapshot.parts
            if len(parts) > 1 or any(part.size < len(part.segment) for part in parts):
                self._publish([self._rewrite(parts)])

    def replace(self, snapshot: Snapshot) -> None:
        """Let searches see something else altogether."""
        with self._lock:
            self.snapshot = snapshot

    def _publish(self, parts: Sequence[Part]) -> None:
        """Tidy the parts, and let searches see them."""
        tidy: list[Part] = []
        for part in parts:
            tidy.append(part)
            while len(tidy) > 1 and tidy[-2].size <= 2 * tidy[-1].size:
                tidy[-2:] = [self._rewrite(tidy[-2:])]
        tidy = [self._rewrite([part]) if 2 * part.size < len(part.segment) else part for part in tidy]
        self.snapshot = Snapshot(self.snapshot.dim, tuple(part for part in tidy if part.size))

    def _rewrite(self, parts: Sequence[Part]) -> Part:
        living = Snapshot(self.snapshot.dim, tuple(parts))
        labels = living.labels()
        if self._documents is None or len(labels) <= self.graph_above:
            items = tuple(living.items())
            return Part.whole(
                Segment.build(labels, items, living.alive_vectors(), graph_above=self.graph_above)
            )
        index = build_index(living.alive_vectors(), graph_above=self.graph_above)
        days = np.concatenate([part.segment.days[part.alive.rows] for part in parts])
        return Part.whole(Segment.of(labels, self._documents(labels), index, days))
