"""The changeable index: writes make a new snapshot and publish it by one reference, so searches never wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from twotower.recall.background import Background
from twotower.recall.merging import FLUSH, Merged, is_exact, large_merge, merge, small_merge
from twotower.recall.segment import Documents, Labels, Part, Segment
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.index import Kind, VectorIndex
from twotower.recall.vectors.maker import IndexMaker
from twotower.recall.vectors.policy import IndexPolicy
from twotower.types import Vectors

MOST_WAITING_BYTES = 512 << 20  # vectors that wait for a merge; a write that brings more waits for it, too
MOST_WAITING_ROWS = 2 * FLUSH  # the same where somebody searches

logger = logging.getLogger(__name__)


class ItemIndex:
    """Items by label and by vector, of which some die and others come.

    New items form a new segment; rows of replaced and deleted items die where they are. Small segments are merged by
    the write that makes them, large ones in the background; see `merging`.

    Args:
        dim: length of the vectors.
        policy: what the indexes of its segments shall achieve.
        documents: where items of merged segments are read from; None keeps them in memory.
        merged: called after each merge in the background, from there.
        scratch: the folder for vectors that stay on the disk; None is the system's for temporary files.

    Attributes:
        snapshot: what searches see.
    """

    def __init__(
        self,
        dim: int,
        policy: IndexPolicy,
        *,
        documents: Callable[[Labels], Documents] | None = None,
        merged: Callable[[], None] = lambda: None,
        scratch: Path | None = None,
    ) -> None:
        self._maker = IndexMaker(dim, policy, scratch)
        self._documents = documents
        self._merged = merged
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._merging: frozenset[int] = frozenset()  # ids of the segments that the merger has in hand
        self._merger = Background(self._merge_all, "twotower-merge")  # started and ended under the lock
        self.snapshot = Snapshot(dim)

    @property
    def policy(self) -> IndexPolicy:
        """What the indexes of its segments shall achieve."""
        return self._maker.policy

    @property
    def queries(self) -> Mapping[str, Vectors]:
        """What indexes are calibrated on, by kind of query; see `calibrated`."""
        return self._maker.queries

    @queries.setter
    def queries(self, queries: Mapping[str, Vectors]) -> None:
        self._maker.queries = queries

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

    def throttle(self, *, searched: bool) -> None:
        """Wait while too much has still to be merged.

        Args:
            searched: whether there are searches beside the writes, which compare with every row that waits.
        """
        most = MOST_WAITING_ROWS if searched else MOST_WAITING_BYTES // (4 * self.snapshot.dim)
        with nullcontext() if searched else self._merger.awaited(), self._lock:
            self._changed.wait_for(lambda: self._waiting_rows() <= most or not self._merger.is_running)

    def compact(self) -> None:
        """Make one segment of all that is alive."""
        self.settle()
        with self._lock:
            parts = self.snapshot.parts
            kind = self._maker.kind(self.snapshot.size)
            tidy = [part.segment.index.kind == kind and part.size == len(part.segment) for part in parts]
            if tidy not in ([], [True]):
                self._put(parts, merge(parts, kind, self._build, documents=self._documents, anew=True))

    def calibrate(self, queries: Mapping[str, Vectors]) -> None:
        """Find out how hard each index must try for the target, and keep the queries for indexes to come.

        Args:
            queries: by kind, float32 of shape (q, dim), unit rows; none makes some up.
        """
        self.settle()
        with self._lock:
            self._maker.queries = queries
            tuned = [
                replace(part, segment=replace(part.segment, index=self._maker.calibrated(part.segment.index)))
                for part in self.snapshot.parts
            ]
            self.snapshot = Snapshot(self.snapshot.dim, tuple(tuned))

    def settle(self) -> None:
        """Wait until nothing is left to merge."""
        self._merger.wait()

    def stop(self) -> None:
        """Merge no more in the background."""
        self._merger.stop()

    def _publish(self, parts: Sequence[Part]) -> None:
        """Merge what is quick to merge, and let searches see the parts."""
        tidy = [part for part in parts if part.size or id(part.segment) in self._merging]
        self.snapshot = Snapshot(self.snapshot.dim, tuple(tidy))
        free = [part for part in tidy if id(part.segment) not in self._merging]
        while (chosen := small_merge(free, self.policy.exact_limit)) is not None:
            self._put(free[chosen], merge(free[chosen], "exact", self._build, documents=self._documents))
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
        if large_merge(self.snapshot.parts, self.policy.exact_limit) is not None:
            self._merger.start()

    def _kind(self, parts: Sequence[Part]) -> Kind:
        """Of the index that some neighbours should become: beside a large one it is always a graph."""
        oldest = self.snapshot.parts[0].segment
        kind = self._maker.kind(self.snapshot.size)
        return kind if kind == "exact" or parts[0].segment is oldest else "graph"

    def _build(self, kind: Kind, vectors: Iterator[Vectors], base: VectorIndex | None) -> VectorIndex | None:
        return self._maker.make(kind, vectors, base, self._merger.goes_on)

    def _waiting_rows(self) -> int:
        return sum(len(part.segment) for part in self.snapshot.parts if is_exact(part))

    def _merge_all(self) -> None:
        try:
            while (parts := self._taken()) is not None:
                merged = merge(parts, self._kind(parts), self._build, documents=self._documents)
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
            chosen = large_merge(self.snapshot.parts, self.policy.exact_limit)
            if chosen is None or not self._merger.goes_on():
                self._ended()
                return None
            parts = self.snapshot.parts[chosen]
            self._merging = frozenset(id(part.segment) for part in parts)
            return parts

    def _ended(self) -> None:
        self._merger.ended()
        self._merging = frozenset()
        self._changed.notify_all()
