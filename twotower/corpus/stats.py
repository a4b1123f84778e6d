"""How large a corpus is, and what it is kept in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from twotower.recall.snapshot import Snapshot
from twotower.recall.vectors.calibration import Calibration


@dataclass(frozen=True, slots=True)
class PartStats:
    """One segment of the index.

    Args:
        index: what searches it; see `Choice`.
        rows: how many it has.
        alive: how many of them are current; the others were deleted or replaced.
        index_bytes: memory of its vectors, codes and graph.
        calibration: what it achieves; None for an exact index.
    """

    index: str
    rows: int
    alive: int
    index_bytes: int
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class StoreStats:
    """The folder of a corpus.

    Args:
        folder: where it is.
        item_store_bytes: of the items, vectors and events on the disk.
        page_checksums: whether damage to any page of the item store is noticed.
        sqlite: version of SQLite.
        read_only: why it takes no writes; None where it does.
    """

    folder: str
    item_store_bytes: int
    page_checksums: bool
    sqlite: str
    read_only: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """What `Retriever.stats` tells.

    Args:
        items: how many can be found.
        dim: length of their vectors.
        parts: the segments of the index, oldest first.
        store: None in memory.
    """

    items: int
    dim: int
    parts: tuple[PartStats, ...]
    store: StoreStats | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, store: StoreStats | None = None) -> Stats:
        """The numbers of one state of an index."""
        parts = (
            PartStats(index.kind, len(index), part.size, index.size_bytes, index.calibration)
            for part in snapshot.parts
            for index in [part.segment.index]
        )
        return cls(snapshot.size, snapshot.dim, tuple(parts), store)

    def lines(self) -> Iterator[str]:
        """The numbers in words."""
        yield f"{self.items:,} items, vectors of {self.dim} dimensions"
        for part in self.parts:
            dead = f", {part.rows - part.alive:,} dead" if part.rows > part.alive else ""
            yield f"  {part.index}: {part.rows:,} rows{dead}, {part.index_bytes / 1e6:,.1f} MB"
            if part.calibration is not None:
                yield from part.calibration.lines()
        if self.store is not None:
            yield f"item store: {self.store.item_store_bytes / 1e6:,.1f} MB in {self.store.folder}"
            checked = "every page has a checksum" if self.store.page_checksums else "pages have no checksums"
            yield f"  SQLite {self.store.sqlite}, {checked}"
            if self.store.read_only is not None:
                yield f"  takes no writes: {self.store.read_only}"
