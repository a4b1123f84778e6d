"""The events of users in chronological order, in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from twotower.store.records import EPOCH, event_key
from twotower.types import Event


class History:
    """Events by user. A reader sees a user's events as before or as after a write, never a part of it."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[Event, ...]] = {}
        self._keys: set[str] = set()
        self._recorded: list[Event] = []

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Event]:
        for events in list(self._events.values()):
            yield from events

    def record(self, events: Iterable[Event]) -> int:
        """Add those validated events whose keys are new; returns how many those are."""
        new_events: dict[str, Event] = {}
        for event in events:
            if (key := event_key(event)) not in self._keys:
                new_events.setdefault(key, event)
        added: dict[str, list[Event]] = {}
        for event in new_events.values():
            added.setdefault(event.user, []).append(event)
        for user, new in added.items():
            self._events[user] = tuple(sorted([*self._events.get(user, ()), *new], key=_chronological))
        self._keys |= new_events.keys()
        self._recorded += new_events.values()
        return len(new_events)

    def of(
        self, user: str, *, until: datetime, newest: int, items: Container[str] | None = None
    ) -> Sequence[Event]:
        """A user's last events up to and including a moment, oldest first; nothing later is visible.

        Args:
            user: anyone, known or not.
            until: aware.
            newest: how many at most.
            items: only events on these; None for all.
        """
        backwards = reversed(self._until(user, until))
        found = islice((event for event in backwards if items is None or event.item in items), newest)
        return list(found)[::-1]

    def since(self, number: int) -> tuple[int, list[Event]]:
        """The events that were recorded after the first `number`, and the number of the last of all."""
        events = self._recorded[number:]
        return number + len(events), events

    def seen_by(self, user: str, *, until: datetime) -> set[str]:
        """The ids of all items that a user has events on, up to and including a moment."""
        return {event.item for event in self._until(user, until)}

    def of_all(self, *, until: datetime, newest: int, items: Container[str] | None = None) -> Sequence[Event]:
        """Everybody's last events up to and including a moment, oldest first."""
        backwards = (
            reversed(self.of(user, until=until, newest=newest, items=items)) for user in list(self._events)
        )
        latest = islice(merge(*backwards, key=_chronological, reverse=True), newest)
        return list(latest)[::-1]

    def _until(self, user: str, until: datetime) -> Sequence[Event]:
        events = self._events.get(user, ())
        return events[: bisect_right(events, until - EPOCH, key=_moment)]


def _moment(event: Event) -> timedelta:
    """Time since 1970: datetimes in one zone compare by wall-clock time, which repeats when summer time ends."""
    return event.time - EPOCH


def _chronological(event: Event) -> tuple[Any, ...]:
    """By time; the other fields make the order of simultaneous events independent of the order of recording."""
    return _moment(event), event.user, event.item, event.kind, event.value
