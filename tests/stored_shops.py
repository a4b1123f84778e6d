"""A shop in a store, what it should hold, and what it answers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from fakes import HashEncoder

from twotower import Event, IndexPolicy, Item, Retriever

NOW = datetime(2026, 6, 1, tzinfo=UTC)
COLOURS = ["red", "blue", "green"]


@dataclass(frozen=True)
class ShopState:
    """What there should be."""

    items: dict[str, Item]
    events: tuple[Event, ...] = ()


def made(numbers, words):
    return [
        Item(f"i{number}", f"{words} {number}", attributes={"colour": COLOURS[number % 3]})
        for number in numbers
    ]


FIRST, SECOND = made(range(40), "first"), made(range(30, 50), "second")
GONE = [f"i{number}" for number in range(0, 35, 7)]
EVENTS = tuple(Event(f"u{number % 3}", "i1", "view", NOW - timedelta(hours=number)) for number in range(6))


def with_items(shop, items):
    return replace(shop, items=shop.items | {item.id: item for item in items})


def opened(folder):
    return Retriever.open(folder, encoder=HashEncoder(8), index=IndexPolicy(exact_up_to=15))


def answers(retriever) -> ShopState:
    """What the retriever says there is, after checking that its searches say the same."""
    hits = retriever.search("first second", k=200, now=NOW)
    found = {hit.id: hit.item for hit in hits}
    if found:
        red = retriever.search("first", k=200, where={"colour": "red"}, now=NOW)
        assert {hit.id for hit in red} == {
            key for key, item in found.items() if item.attributes["colour"] == "red"
        }
    assert {item.id: item for item in retriever.items()} == found
    assert len(retriever) == len(found)
    return ShopState(found, tuple(retriever._corpus.item_store.events()))


@contextmanager
def reopened(folder):
    retriever = opened(folder)
    try:
        # The one thing that may be missing is the receipt, where that could not be written.
        assert all("receipt' is missing or damaged" in problem for problem in retriever.maintenance.verify())
        yield retriever
    finally:
        retriever.close()
