"""The changeable index: writes make a new snapshot and publish it by one reference, so searches never wait."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

import numpy as np

from twotower.recall.merging import Merged, large_merge, merge, small_merge
from twotower.recall.segment import Documents, Labels, Part, Segment
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.vector_index import GRAPH_ABOVE, ExactIndex

MOST_WAITING_BYTES = 512 << 20  # vectors outside a graph; a write that brings more waits for the merge

logger = logging.getLogger(__name__)


class ItemIndex:
    """Items by label and by vector, of which some die and others come.

    New items form a new segment; rows of replaced and deleted items die where they are. Small segments are merged by
    the write that makes them, large ones in the background; see `merging`.

    Args:
        dim: length of the vectors.
        graph_above: up to this many rows are searched exactly, more by a graph.
        documents: where items of merged segments are read from; None keeps them in memory.
        merged: called after each merge in the background, from there.
    """

    def __init__(
        self,
        dim: int,
        *,
        graph_above: int = GRAPH_ABOVE,
        documents: Callable[[Labels], Documents] | None = None,
        merged: Callable[[], None] = lambda: None,
    ) -> None:
        self.graph_above = graph_above
        self._documents = documents
        self._merged = merged
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._merging: frozenset[int] = frozenset()  # ids of the segments that the merger has in hand
        self._merger: threading.Thread | None = None  # set and cleared under the lock
        self._stopped = False
        self.snapshot = Snapshot(dim)

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
            self._merge_in_background()

    def replace(self, parts: Sequence[Part]) -> None:
        """Let searches see something else altogether."""
        with self._lock:
            self._publish(parts)
            self._merge_in_background()

    def throttle(self) -> None:
        """Wait while too much has still to be merged."""
        with self._lock:
            self._changed.wait_for(
                lambda: self._waiting_bytes() <= MOST_WAITING_BYTES or not self._is_merging()
            )

    def compact(self) -> None:
        """Make one segment of all that is alive."""
        self.settle()
        with self._lock:
            parts = self.snapshot.parts
            if len(parts) > 1 or any(part.size < len(part.segment) for part in parts):
                graph = self.snapshot.size > self.graph_above
                self._put(parts, merge(parts, graph=graph, documents=self._documents, anew=True))

    def settle(self) -> None:
        """Wait until nothing is left to merge."""
        while (merger := self._merger) is not None and merger.is_alive():
            merger.join()

    def stop(self) -> None:
        """Merge no more in the background."""
        self._stopped = True
        self.settle()

    def _publish(self, parts: Sequence[Part]) -> None:
        """Merge what is quick to merge, and let searches see the parts."""
        tidy = [part for part in parts if part.size or id(part.segment) in self._merging]
        self.snapshot = Snapshot(self.snapshot.dim, tuple(tidy))
        free = [part for part in tidy if id(part.segment) not in self._merging]
        while (chosen := small_merge(free, self.graph_above)) is not None:
            self._put(free[chosen], merge(free[chosen], graph=False, documents=self._documents))
            free = [part for part in self.snapshot.parts if id(part.segment) not in self._merging]

    def _put(self, parts: Sequence[Part], merged: Merged | None) -> None:
        """Let one segment take the place of several, in which rows may have died since; None leaves them."""
        if merged is None:
            return
        current = {id(part.segment): part for part in self.snapshot.parts}
        alive = [
            current[id(part.segment)].alive.mask[rows]
            if id(part.segment) in current
            else np.zeros(len(rows), dtype=np.bool_)
            for part, rows in zip(parts, merged.kept, strict=True)
        ]
        whole = Part(merged.segment, Selection(np.concatenate(alive)))
        gone = {id(part.segment) for part in parts}
        places = [place for place, part in enumerate(self.snapshot.parts) if id(part.segment) in gone]
        rest = [part for part in self.snapshot.parts if id(part.segment) not in gone]
        if places and whole.size:
            rest.insert(places[0], whole)
        self.snapshot = Snapshot(self.snapshot.dim, tuple(rest))

    def _merge_in_background(self) -> None:
        due = large_merge(self.snapshot.parts, self.graph_above) is not None
        if due and not self._stopped and not self._is_merging():
            self._merger = threading.Thread(target=self._merge_all, name="twotower-merge")
            self._merger.start()

    def _is_merging(self) -> bool:
        return self._merger is not None and self._merger.is_alive()

    def _waiting_bytes(self) -> int:
        return sum(
            part.segment.index.size_bytes
            for part in self.snapshot.parts
            if isinstance(part.segment.index, ExactIndex)
        )

    def _goes_on(self) -> bool:
        """False when the process is about to end, which would wait for this thread."""
        return not self._stopped and threading.main_thread().is_alive()

    def _merge_all(self) -> None:
        import faiss

        faiss.omp_set_num_threads(max(1, (os.cpu_count() or 1) - 1))  # of this thread alone: searches go on
        try:
            while (parts := self._taken()) is not None:
                graph = self.snapshot.size > self.graph_above
                merged = merge(parts, graph=graph, documents=self._documents, go_on=self._goes_on)
                with self._lock:
                    self._put(parts, merged)
                    self._merging = frozenset()
                    self._publish(self.snapshot.parts)
                    self._changed.notify_all()
                if merged is not None:
                    self._merged()
        except Exception:  # searches and writes work without; the next write tries again
            logger.exception("segments could not be merged")
            with self._lock:
                self._ended()

    def _taken(self) -> Sequence[Part] | None:
        """What the merger merges next; None ends it, so that the next write starts another."""
        with self._lock:
            chosen = large_merge(self.snapshot.parts, self.graph_above)
            if chosen is None or not self._goes_on():
                self._ended()
                return None
            parts = self.snapshot.parts[chosen]
            self._merging = frozenset(id(part.segment) for part in parts)
            return parts

    def _ended(self) -> None:
        self._merger = None
        self._merging = frozenset()
        self._changed.notify_all()
