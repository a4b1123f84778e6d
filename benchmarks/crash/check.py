"""What a store must hold after the operations in a journal, and how an open one and its searches differ from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace
from operator import add

from benchmarks.crash.journal import EventRecord, ItemRecord, Operation, event_record
from benchmarks.crash.worker import stored
from twotower.presets import Retriever
from twotower.types import Hit


@dataclass(frozen=True, slots=True)
class Contents:
    """Items and events, each with its number of copies."""

    items: Counter[ItemRecord] = field(default_factory=Counter)
    events: Counter[EventRecord] = field(default_factory=Counter)

    @property
    def records(self) -> Counter[ItemRecord | EventRecord]:
        """All of them."""
        return self.items + self.events

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
    """Numbers of things that must never happen."""

    lost: int = 0  # acknowledged writes that are missing or old
    ghosts: int = 0  # records that should not be there: deleted, replaced, or never written
    halves: int = 0  # unacknowledged batches of which a part is there
    unfindable: int = 0  # items that are there and that a search does not find
    problems: int = 0  # found by the store's own verification

    def __add__(self, other: Faults) -> Faults:
        return Faults(*map(add, astuple(self), astuple(other)))


def check(retriever: Retriever, before: Contents, pending: Operation | None) -> tuple[Faults, Contents]:
    """The faults of a store that was just opened, and its contents.

    Before are the contents after all acknowledged operations; the pending one was begun and not acknowledged.
    """
    problems = len(retriever.maintenance.verify())
    found = contents(retriever)
    faults = differences(before, pending, found)
    hits, missed = searched(retriever, found)
    ghosts = faults.ghosts + len(hits - found.items.keys())
    return replace(faults, ghosts=ghosts, unfindable=len(missed), problems=problems), found


def differences(before: Contents, pending: Operation | None, found: Contents) -> Faults:
    """Compare contents with those that must be there; a pending operation may be there, but only as a whole."""
    old, new = before.records, before.after([pending] if pending else []).records
    removed, added = old - new, new - old
    gone = removed - found.records
    there = added & (found.records - old)
    is_half = (gone, there) not in ((removed, added), (Counter(), Counter()))
    expected = old - gone + there  # a half is one fault, not many
    lost, ghosts = expected - found.records, found.records - expected
    return Faults(lost=lost.total(), ghosts=ghosts.total(), halves=int(is_half))


def contents(retriever: Retriever) -> Contents:
    """What the store's truth holds, whatever the index says."""
    corpus = stored(retriever)
    with corpus.store.database.view() as connection:
        items = Counter((item.id, item.title) for _, item in corpus.store.item_store.items(connection))
    return Contents(items, Counter(map(event_record, corpus.item_store.events())))


def searched(retriever: Retriever, found: Contents) -> tuple[set[ItemRecord], set[ItemRecord]]:
    """The items that searches and a listing return, and those that they should return and do not."""
    hits: set[ItemRecord] = set()
    missed: set[ItemRecord] = set()
    for item_id, title in found.items:
        own = _records(retriever.search(title, where={"id": item_id}))
        hits |= own
        missed |= {(item_id, title)} - own
    if found.items:
        titles = [title for _, title in found.items]
        for group in retriever.search_batch(titles[:: len(titles) // 3 + 1], k=2 * len(titles)):
            whole = _records(group)
            hits |= whole
            missed |= found.items.keys() - whole
    listed = {(item.id, item.title) for item in retriever.items()}
    return hits | listed, missed | (found.items.keys() - listed)


def _records(hits: list[Hit]) -> set[ItemRecord]:
    return {(hit.id, hit.item.title) for hit in hits}
