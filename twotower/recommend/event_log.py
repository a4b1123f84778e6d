"""The events of a shop as arrays, in order of time, and one shopper's part of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from twotower.types import Event

SECONDS_A_DAY = 86_400.0
Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]


class Vocabulary:
    """Ids by row. It only grows, so a row stays valid."""

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._adding = Lock()
        self.add(ids)

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, ids: Iterable[str]) -> Rows:
        """The rows of ids, shape (n,); those that are new get the next ones."""
        rows = []
        with self._adding:
            for each in ids:
                row = self._rows.setdefault(each, len(self.ids))
                if row == len(self.ids):
                    self.ids.append(each)
                rows.append(row)
        return np.array(rows, dtype=np.int64)

    def row_of(self, each: str) -> int:
        """The row of an id; -1 if it is unknown."""
        return self._rows.get(each, -1)

    def known(self, ids: Iterable[str]) -> Rows:
        """The rows of those of some ids that are known."""
        return np.array([self._rows[each] for each in ids if each in self._rows], dtype=np.int64)


@dataclass(frozen=True)
class EventLog:
    """Events in order of time.

    Args:
        users: ids by row.
        items: ids by row.
        user: row of each event's user, shape (n,).
        item: row of each event's item, shape (n,).
        day: of each event, in days since 1970, ascending, shape (n,).
        weight: of each event, at least 0, shape (n,).
    """

    users: Vocabulary = field(default_factory=Vocabulary)
    items: Vocabulary = field(default_factory=Vocabulary)
    user: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    item: Rows = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    day: Numbers = field(default_factory=lambda: np.zeros(0))
    weight: Numbers = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.day)

    def extended(self, events: Sequence[Event], kinds: Mapping[str, float]) -> EventLog:
        """The log with further events, in any order.

        Args:
            events: new ones.
            kinds: weight of each kind of event; other kinds have weight 1.
        """
        if not events:
            return self
        days = np.array([event.time.timestamp() / SECONDS_A_DAY for event in events])
        weights = np.array([kinds.get(event.kind, 1.0) * event.value for event in events])
        user = np.concatenate([self.user, self.users.add(event.user for event in events)])
        item = np.concatenate([self.item, self.items.add(event.item for event in events)])
        day, weight = np.concatenate([self.day, days]), np.concatenate([self.weight, weights])
        order = np.argsort(day, kind="stable")
        return replace(self, user=user[order], item=item[order], day=day[order], weight=weight[order])

    def before(self, day: float) -> EventLog:
        """The events before a moment, over the same vocabularies."""
        end = int(np.searchsorted(self.day, day))
        return replace(
            self, user=self.user[:end], item=self.item[:end], day=self.day[:end], weight=self.weight[:end]
        )

    def shopper(self, user: str | int, day: float, basket: Sequence[str] = ()) -> Shopper:
        """What one user did before a moment.

        Args:
            user: an id, known or not, or a row.
            day: the moment; what is not earlier is not seen.
            basket: ids of the items in the user's basket now; unknown ones are left out.
        """
        row = self.users.row_of(user) if isinstance(user, str) else user
        mine = self._of_user(row)
        mine = mine[: np.searchsorted(self.day[mine], day)]
        return Shopper(
            self,
            row,
            self.item[mine],
            self.day[mine],
            self.weight[mine],
            day,
            self.items.known(basket),
        )

    def _of_user(self, row: int) -> Rows:
        order, starts = self._by_user
        return order[starts[row] : starts[row + 1]] if 0 <= row < len(starts) - 1 else order[:0]

    @cached_property
    def _by_user(self) -> tuple[Rows, Rows]:
        """Positions of events by user, each user's in order of time, and where each user begins."""
        order = np.argsort(self.user, kind="stable")
        return order, np.searchsorted(self.user[order], np.arange(len(self.users) + 1))


@dataclass(frozen=True)
class Shopper:
    """The history of one user at a moment.

    Args:
        log: everybody's events, later ones included: a channel must look no further than `day`.
        row: of the user; -1 if unknown.
        items: row of each event's item, oldest first, shape (n,).
        days: of each event, shape (n,).
        weights: of each event, shape (n,).
        day: the moment.
        basket: rows of the items in the basket now.
    """

    log: EventLog
    row: int
    items: Rows
    days: Numbers
    weights: Numbers
    day: float
    basket: Rows

    @cached_property
    def _distinct(self) -> tuple[Rows, Rows]:
        rows, places = np.unique(self.items, return_inverse=True)
        return rows, places.ravel()

    @property
    def rows(self) -> Rows:
        """The different items of the history, ascending, shape (m,)."""
        return self._distinct[0]

    @cached_property
    def counts(self) -> Numbers:
        """Summed weights of the events on each of `rows`."""
        return np.bincount(self._distinct[1], self.weights, minlength=len(self.rows)).astype(np.float64)

    @cached_property
    def lines(self) -> Numbers:
        """Number of the events on each of `rows`."""
        return np.bincount(self._distinct[1], minlength=len(self.rows)).astype(np.float64)

    @cached_property
    def last(self) -> Numbers:
        """Day of the newest event on each of `rows`."""
        last = np.full(len(self.rows), -np.inf)
        np.maximum.at(last, self._distinct[1], self.days)
        return last

    @cached_property
    def first(self) -> Numbers:
        """Day of the oldest event on each of `rows`."""
        first = np.full(len(self.rows), np.inf)
        np.minimum.at(first, self._distinct[1], self.days)
        return first

    def decayed(self, half_life: float) -> Numbers:
        """Summed weights of the events on each of `rows`, halved after every half-life in days."""
        weights = self.weights * np.exp2((self.days - self.day) / half_life)
        return np.bincount(self._distinct[1], weights, minlength=len(self.rows)).astype(np.float64)

    def newest(self, half_life: float) -> Numbers:
        """0.5 ** (age / half_life) of the newest event on each of `rows`."""
        return np.exp2((self.last - self.day) / half_life)

    @cached_property
    def basket_days(self) -> Numbers:
        """The moments of the user's baskets: events at one time are one basket."""
        return np.unique(self.days)

    @cached_property
    def latest_basket(self) -> Rows:
        """The items in the basket now, or else those of the last one."""
        if len(self.basket) or not len(self.days):
            return self.basket
        return np.unique(self.items[self.days == self.days[-1]])
