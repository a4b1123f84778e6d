"""The events of users in chronological order, in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from typing import Any

from twotower.types import Event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class History:
    """Events by user. A reader sees a user's events as before or as after a write, never a part of it."""

    def __init__(self) -> None:
        self._events: dict[str, tuple[Event, ...]] = {}

    def __len__(self) -> int:
        return sum(len(events) for events in self._events.values())

    def __iter__(self) -> Iterator[Event]:
        for events in list(self._events.values()):
            yield from events

    def record(self, events: Iterable[Event]) -> None:
        """Add events that have been validated."""
        added: dict[str, list[Event]] = {}
        for event in events:
            added.setdefault(event.user, []).append(event)
        for user, new in added.items():
            self._events[user] = tuple(sorted([*self._events.get(user, ()), *new], key=_chronological))

    def of(self, user: str, *, until: datetime, newest: int) -> Sequence[Event]:
        """A user's last events up to and including a moment, oldest first; nothing later is visible.

        Args:
            user: anyone, known or not.
            until: aware.
            newest: how many at most.
        """
        events = self._events.get(user, ())
        end = bisect_right(events, until - EPOCH, key=_moment)
        return events[max(0, end - newest) : end]

    def of_all(self, *, until: datetime, newest: int) -> Sequence[Event]:
        """Everybody's last events up to and including a moment, oldest first."""
        backwards = (reversed(self.of(user, until=until, newest=newest)) for user in list(self._events))
        latest = islice(merge(*backwards, key=_chronological, reverse=True), newest)
        return list(latest)[::-1]


def _moment(event: Event) -> timedelta:
    """Time since 1970: datetimes in one zone compare by wall-clock time, which repeats when summer time ends."""
    return event.time - EPOCH


def _chronological(event: Event) -> tuple[Any, ...]:
    """By time; the other fields make the order of simultaneous events independent of the order of recording."""
    return _moment(event), event.user, event.item, event.kind, event.value
