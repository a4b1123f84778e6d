"""What a store must hold after the operations in a journal, and how an actual store differs from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from benchmarks.crash.journal import EventRecord, ItemRecord, Operation

Records: TypeAlias = "Counter[ItemRecord | EventRecord]"


@dataclass(frozen=True, slots=True)
class Contents:
    """Items and events, each with its number of copies."""

    items: Counter[ItemRecord] = field(default_factory=Counter)
    events: Counter[EventRecord] = field(default_factory=Counter)

    @property
    def records(self) -> Records:
        """All of them."""
        records: Records = Counter()
        records.update(self.items.elements())
        records.update(self.events.elements())
        return records

    def after(self, operations: Iterable[Operation]) -> Contents:
        """The contents after these operations."""
        items, events = self.items.copy(), self.events.copy()
        for operation in operations:
            replaced = {item_id for item_id, _ in operation.items}.union(operation.deleted)
            items = Counter({item: times for item, times in items.items() if item[0] not in replaced})
            items.update(operation.items)
            events.update(operation.events)
        return Contents(items, events)


@dataclass(frozen=True, slots=True)
class Faults:
    """Numbers of things that must never happen.

    Args:
        lost: acknowledged writes that are missing or old.
        ghosts: records that should not be there: deleted, replaced, or never written.
        halves: batches that were not acknowledged and are there in part.
        unfindable: items that are there and that a search does not find.
        problems: found by the store's own verification.
    """

    lost: int = 0
    ghosts: int = 0
    halves: int = 0
    unfindable: int = 0
    problems: int = 0

    def __add__(self, other: Faults) -> Faults:
        return Faults(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Faults)))


def differences(before: Contents, pending: Operation | None, found: Contents) -> Faults:
    """Compare a store with what it must hold.

    Args:
        before: the contents after all acknowledged operations.
        pending: begun and not acknowledged: it may be there, but only as a whole.
        found: the actual contents.
    """
    old, new = before.records, before.after([pending] if pending else []).records
    removed, added = old - new, new - old
    gone = removed - found.records
    there = added & (found.records - old)
    is_half = (gone, there) not in ((removed, added), (Counter(), Counter()))
    expected = old - gone + there  # a half is one fault, not many
    lost, ghosts = expected - found.records, found.records - expected
    return Faults(lost=lost.total(), ghosts=ghosts.total(), halves=int(is_half))
