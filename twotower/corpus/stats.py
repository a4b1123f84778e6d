"""The sizes of a corpus, of its index and of its store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.calibration import Calibration


@dataclass(frozen=True, slots=True)
class PartStats:
    """One segment of the index.

    Args:
        index: the kind of its vector index; see `Choice`.
        rows: how many it has.
        alive: how many of them are live; the others were deleted or replaced.
        index_bytes: memory of its vectors, codes and graph.
        calibration: its measured recall; None for an exact index.
    """

    index: str
    rows: int
    alive: int
    index_bytes: int
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The store of a corpus.

    Args:
        folder: its path.
        item_store_bytes: size on disk of items, vectors and events.
        page_checksums: whether damage to any page of the item store is detected.
        sqlite: version of SQLite.
        read_only: why it accepts no writes; None if it accepts them.
    """

    folder: str
    item_store_bytes: int
    page_checksums: bool
    sqlite: str
    read_only: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """The result of `Retriever.maintenance.stats`.

    Args:
        items: how many are indexed.
        events: how many are recorded.
        dim: length of their vectors.
        parts: the segments of the index, oldest first.
        store: None for a corpus in memory.
    """

    items: int
    events: int
    dim: int
    parts: tuple[PartStats, ...]
    store: StoreStats | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, events: int, store: StoreStats | None = None) -> Stats:
        """The statistics of one snapshot of an index."""
        parts = (
            PartStats(index.kind, len(index), part.size, index.size_bytes, index.calibration)
            for part in snapshot.parts
            for index in [part.segment.index]
        )
        return cls(snapshot.size, events, snapshot.dim, tuple(parts), store)

    def lines(self) -> Iterator[str]:
        """A readable summary, line by line."""
        yield f"{self.items:,} items, vectors of {self.dim} dimensions"
        for part in self.parts:
            deleted = f", {part.rows - part.alive:,} deleted" if part.rows > part.alive else ""
            yield f"  {part.index}: {part.rows:,} rows{deleted}, {part.index_bytes / 1e6:,.1f} MB"
            if part.calibration is not None:
                yield from part.calibration.lines()
        yield f"{self.events:,} events"
        if self.store is not None:
            yield f"item store: {self.store.item_store_bytes / 1e6:,.1f} MB in {self.store.folder}"
            checked = "every page has a checksum" if self.store.page_checksums else "pages have no checksums"
            yield f"  SQLite {self.store.sqlite}, {checked}"
            if self.store.read_only is not None:
                yield f"  accepts no writes: {self.store.read_only}"
