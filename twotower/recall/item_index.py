"""The mutable index: a write publishes a new snapshot by assigning one reference, so searches never wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from twotower.recall.merging import FLUSH, Merged, is_exact, large_merge, merge, small_merge
from twotower.recall.segment import Documents, Labels, Part, Segment
from twotower.recall.selection import Selection
from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.builder import IndexBuilder
from twotower.recall.vectors.index import Kind, VectorIndex
from twotower.recall.vectors.policy import IndexPolicy
from twotower.recall.worker_thread import WorkerThread
from twotower.types import Vectors

MAX_PENDING_BYTES = 512 << 20  # of vectors that wait for a merge; a write that adds more waits too
MAX_PENDING_ROWS = 2 * FLUSH  # the same limit while there are searches

logger = logging.getLogger(__name__)


class ItemIndex:
    """Items by label and by vector, in segments as in a log-structured merge tree.

    New items form a new segment; rows of replaced and deleted items are marked as deleted. Small segments are merged
    by the write that creates them, large ones in the background; see `merging`.

    Args:
        dim: length of the vectors.
        policy: for the vector indexes of the segments.
        documents: reads the items of merged segments; None keeps them in memory.
        merged: called after each background merge, by its thread.
        scratch: the folder for vectors that stay on disk; None is the system's folder for temporary files.

    Attributes:
        snapshot: the current state, which searches read.
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
        self._builder = IndexBuilder(dim, policy, scratch)
        self._documents = documents
        self._merged = merged
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._merging: frozenset[int] = frozenset()  # ids of the segments that are being merged
        self._merger = WorkerThread(self._merge_all, "twotower-merge")  # started and finished under the lock
        self.snapshot = Snapshot(dim)

    @property
    def policy(self) -> IndexPolicy:
        """The policy for the vector indexes of the segments."""
        return self._builder.policy

    @property
    def queries(self) -> Mapping[str, Vectors]:
        """The queries that indexes are calibrated on, by kind; see `calibrate`."""
        return self._builder.queries

    @queries.setter
    def queries(self, queries: Mapping[str, Vectors]) -> None:
        self._builder.queries = queries

    def update(self, deleted: Labels, added: Segment | None = None) -> None:
        """Delete rows and add others, atomically.

        Args:
            deleted: labels, ascending.
            added: a segment whose labels are above all earlier ones.
        """
        with self._lock:
            parts = [part.without(deleted) for part in self.snapshot.parts]
            if added is not None and len(added):
                self.snapshot.advice.remember(added.columns.names)
                parts.append(Part.whole(added))
            self._publish(parts)
            self._merge_in_background()

    def replace(self, parts: Sequence[Part]) -> None:
        """Replace all parts, atomically."""
        with self._lock:
            self._publish(parts)
            self._merge_in_background()

    def throttle(self, *, searched: bool) -> None:
        """Block while too many rows wait for a merge.

        Args:
            searched: whether there are searches besides the writes; each scans every row that waits.
        """
        max_pending = MAX_PENDING_ROWS if searched else MAX_PENDING_BYTES // (4 * self.snapshot.dim)
        with nullcontext() if searched else self._merger.awaited(), self._lock:
            self._changed.wait_for(lambda: self._pending_rows() <= max_pending or not self._merger.is_running)

    def compact(self) -> None:
        """Merge everything into one segment of live rows."""
        self.settle()
        with self._lock:
            parts = self.snapshot.parts
            kind = self._builder.kind_for(self.snapshot.size)
            compacted = [part.segment.index.kind == kind and part.size == len(part.segment) for part in parts]
            if compacted not in ([], [True]):
                self._replace_parts(
                    parts, merge(parts, kind, self._build, documents=self._documents, rebuild=True)
                )

    def calibrate(self, queries: Mapping[str, Vectors]) -> None:
        """Measure the search effort that each index needs for the target recall; keep the queries for later builds.

        Args:
            queries: by kind, float32 of shape (q, dim), unit rows; if empty, synthetic ones are drawn.
        """
        self.settle()
        with self._lock:
            self._builder.queries = queries
            tuned = [
                replace(
                    part, segment=replace(part.segment, index=self._builder.calibrated(part.segment.index))
                )
                for part in self.snapshot.parts
            ]
            self.snapshot = replace(self.snapshot, parts=tuple(tuned))

    def settle(self) -> None:
        """Wait until all merges have finished."""
        self._merger.wait()

    def stop(self) -> None:
        """Stop merging in the background."""
        self._merger.stop()

    def _publish(self, parts: Sequence[Part]) -> None:
        """Publish these parts as a new snapshot, after the merges that are quick."""
        kept = [part for part in parts if part.size or id(part.segment) in self._merging]
        self.snapshot = replace(self.snapshot, parts=tuple(kept))
        free = [part for part in kept if id(part.segment) not in self._merging]
        while (chosen := small_merge(free, self.policy.exact_limit)) is not None:
            self._replace_parts(
                free[chosen], merge(free[chosen], "exact", self._build, documents=self._documents)
            )
            free = [part for part in self.snapshot.parts if id(part.segment) not in self._merging]

    def _replace_parts(self, parts: Sequence[Part], merged: Merged | None) -> None:
        """Replace parts by their merged segment, without rows deleted meanwhile; None leaves them alone."""
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
        merged_ids = {id(part.segment) for part in parts}
        positions = [
            position for position, part in enumerate(self.snapshot.parts) if id(part.segment) in merged_ids
        ]
        rest = [part for part in self.snapshot.parts if id(part.segment) not in merged_ids]
        if positions and whole.size:
            rest.insert(positions[0], whole)
        self.snapshot = replace(self.snapshot, parts=tuple(rest))

    def _merge_in_background(self) -> None:
        if large_merge(self.snapshot.parts, self.policy.exact_limit) is not None:
            self._merger.start()

    def _kind(self, parts: Sequence[Part]) -> Kind:
        """The kind of index to merge neighbouring parts into: next to the main index it is always a graph."""
        oldest = self.snapshot.parts[0].segment
        kind = self._builder.kind_for(self.snapshot.size)
        return kind if kind == "exact" or parts[0].segment is oldest else "graph"

    def _build(self, kind: Kind, vectors: Iterator[Vectors], base: VectorIndex | None) -> VectorIndex | None:
        return self._builder.build(kind, vectors, base, self._merger.should_continue)

    def _pending_rows(self) -> int:
        return sum(len(part.segment) for part in self.snapshot.parts if is_exact(part))

    def _merge_all(self) -> None:
        try:
            while (parts := self._next_merge()) is not None:
                merged = merge(parts, self._kind(parts), self._build, documents=self._documents)
                with self._lock:
                    self._replace_parts(parts, merged)
                    self._merging = frozenset()
                    self._publish(self.snapshot.parts)
                    self._changed.notify_all()
                if merged is not None:
                    self._merged()
        except Exception:  # searches and writes work without it; the next write retries
            logger.exception("segments could not be merged")
            with self._lock:
                self._merger_finished()

    def _next_merge(self) -> Sequence[Part] | None:
        """The parts to merge next; None if there are none, so that the next write starts another thread."""
        with self._lock:
            chosen = large_merge(self.snapshot.parts, self.policy.exact_limit)
            if chosen is None or not self._merger.should_continue():
                self._merger_finished()
                return None
            parts = self.snapshot.parts[chosen]
            self._merging = frozenset(id(part.segment) for part in parts)
            return parts

    def _merger_finished(self) -> None:
        self._merger.finished()
        self._merging = frozenset()
        self._changed.notify_all()
