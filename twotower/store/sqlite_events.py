"""The events of users in a store's SQLite file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import apsw

from twotower.store.database import Database
from twotower.store.records import event_from_row, event_key, moment
from twotower.types import Event

EVENT = "user, item, kind, time, value, key"
LATEST = "moment DESC, user DESC, item DESC, kind DESC, value DESC"


class SqliteEvents:
    """The part of `SqliteItemStore` that reads and adds events.

    Args:
        database: of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def insert(self, connection: apsw.Connection, events: Iterable[Event]) -> int:
        """Add the events whose keys are new, in the transaction of a connection; returns how many those are."""
        before = connection.total_changes()
        connection.executemany(
            f"INSERT INTO events ({EVENT}, moment) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (
                (
                    each.user,
                    each.item,
                    each.kind,
                    each.time.isoformat(),
                    float(each.value),
                    event_key(each),
                    moment(each.time),
                )
                for each in events
            ),
        )
        return connection.total_changes() - before

    def of(self, user: str, *, until: datetime, newest: int, stored_items: bool) -> Sequence[Event]:
        """See `ItemStore.events_of`."""
        condition = "user = ? AND moment <= ?"
        return self._latest(condition, user, moment(until), newest=newest, stored_items=stored_items)

    def of_all(self, *, until: datetime, newest: int, stored_items: bool) -> Sequence[Event]:
        """See `ItemStore.events_of_all`."""
        return self._latest("moment <= ?", moment(until), newest=newest, stored_items=stored_items)

    def seen_by(self, user: str, *, until: datetime) -> set[str]:
        """See `ItemStore.seen_by`."""
        statement = "SELECT DISTINCT item FROM events WHERE user = ? AND moment <= ?"
        return {item for (item,) in self._database.rows(statement, user, moment(until))}

    def all(self) -> Iterator[Event]:
        """See `ItemStore.events`; a snapshot taken when the first event is read."""
        with self._database.view() as connection:
            yield from self.read(connection)

    def read(self, connection: apsw.Connection) -> Iterator[Event]:
        """The events of all users in the view of a connection, in the order in which they were recorded."""
        return map(event_from_row, connection.execute(f"SELECT {EVENT} FROM events ORDER BY number"))

    def since(self, number: int) -> tuple[int, list[Event]]:
        """See `ItemStore.events_since`."""
        statement = f"SELECT {EVENT}, number FROM events WHERE number > ? ORDER BY number"
        found = self._database.rows(statement, number)
        return (found[-1][-1] if found else number), [event_from_row(row[:-1]) for row in found]

    def count(self) -> int:
        """See `ItemStore.count_events`."""
        ((count,),) = self._database.rows("SELECT count(*) FROM events")
        return int(count)

    def _latest(self, condition: str, *values: object, newest: int, stored_items: bool) -> list[Event]:
        if stored_items:
            condition += " AND item IN (SELECT id FROM ids)"
        statement = f"SELECT {EVENT} FROM events WHERE {condition} ORDER BY {LATEST} LIMIT ?"
        found = self._database.rows(statement, *values, newest)
        return [event_from_row(row) for row in reversed(found)]
