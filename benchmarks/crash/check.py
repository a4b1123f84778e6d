"""The contents of an open store and what its searches find."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from benchmarks.crash.contents import Contents, Faults, differences
from benchmarks.crash.journal import ItemRecord, Operation, event_record
from benchmarks.crash.worker import stored
from twotower.presets import Retriever
from twotower.types import Hit


def check(retriever: Retriever, before: Contents, pending: Operation | None) -> tuple[Faults, Contents]:
    """The faults of a store that was just opened, and its contents.

    Args:
        retriever: open.
        before: the contents that it must have, after all acknowledged operations.
        pending: begun and not acknowledged.
    """
    problems = retriever.maintenance.verify()
    found = contents(retriever)
    faults = differences(before, pending, found)
    hits, missed = searched(retriever, found)
    return (
        replace(
            faults,
            ghosts=faults.ghosts + len(hits - found.items.keys()),
            unfindable=len(missed),
            problems=len(problems),
        ),
        found,
    )


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
