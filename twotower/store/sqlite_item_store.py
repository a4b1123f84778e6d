"""The item store in a store folder: one SQLite file, each write of which is on the disk when the call returns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import apsw
import numpy as np

from twotower.errors import StaleError, StoreDamagedError, StoreError, StoreVersionError
from twotower.store.database import Database
from twotower.store.history import EPOCH
from twotower.store.item_cache import ItemCache
from twotower.store.item_store import Labels
from twotower.store.receipt import Receipt
from twotower.store.records import event_from_row, item_from_bytes, item_to_bytes
from twotower.store.schema import FORMAT, TABLES
from twotower.types import Event, Item, Vectors

EVENT = "user, item, kind, time, value"
LATEST = "moment DESC, user DESC, item DESC, kind DESC, value DESC"
MICROSECOND = timedelta(microseconds=1)
PARAMETERS_PER_STATEMENT = 1_000  # labels or ids
T = TypeVar("T")

Row: TypeAlias = tuple[int, Item, Vectors]
"""A label, its item, and its vector of shape (dim,)."""


@dataclass(frozen=True, slots=True)
class State:
    """How far an item store has come; all numbers only grow.

    Args:
        epoch: another one when everything was replaced.
        commits: writes so far.
        label: the newest label that was given.
        tombstone: how many versions of items were replaced or deleted.
        purged: tombstones up to this one are no longer listed.
    """

    epoch: str
    commits: int
    label: int
    tombstone: int
    purged: int


class SqliteItemStore:
    """See `ItemStore`.

    Args:
        database: where it is kept.
        receipt: how many writes were acknowledged.

    Raises:
        StoreVersionError: a newer version wrote it.
        StoreDamagedError: it is damaged, or acknowledged writes are missing.
    """

    def __init__(self, database: Database, receipt: Receipt) -> None:
        self._database = database
        self._receipt = receipt
        self._cache = ItemCache()
        acknowledged = receipt.read()  # before the item store, which may be growing under another process
        self._check_format()
        if acknowledged is not None and self.state().commits < acknowledged:
            raise StoreDamagedError(
                f"file '{database.path}' lost {acknowledged - self.state().commits} acknowledged writes: restore it, "
                "with the files beside it, from a backup"
            )

    @classmethod
    def create(cls, database: Database, receipt: Receipt, settings: Mapping[str, Any]) -> SqliteItemStore:
        """Make the tables of an empty database; all or none."""
        with database.transaction() as connection:
            connection.execute(TABLES)
            meta = {
                "format": FORMAT,
                "settings": json.dumps(settings),
                "epoch": uuid4().hex,
                **dict.fromkeys(("commits", "label", "purged"), 0),
            }
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        return cls(database, receipt)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Plain JSON values: how the retriever was put together."""
        settings: Mapping[str, Any] = json.loads(str(self._meta(self._database.reader)["settings"]))
        return settings

    def state(self, connection: apsw.Connection | None = None) -> State:
        """How far the item store has come.

        Args:
            connection: the state that it sees; None for the newest.
        """
        with self._database.translated():
            connection = connection or self._database.reader
            meta = self._meta(connection)
            tombstones: list[tuple[Any, ...]] = list(
                connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'tombstones'")
            )
        return State(
            str(meta["epoch"]),
            int(meta["commits"]),
            int(meta["label"]),
            int(tombstones[0][0]) if tombstones else 0,
            int(meta["purged"]),
        )

    def upsert(self, items: Sequence[Item], vectors: Vectors) -> tuple[Labels, Labels]:
        """See `ItemStore.upsert`."""
        with self._writing() as connection:
            dead = self._bury(connection, [item.id for item in items])
            first = int(self._meta(connection)["label"]) + 1
            labels = range(first, first + len(items))
            self._insert(connection, labels, items, vectors)
        return np.array(labels, dtype=np.int64), dead

    def delete(self, item_ids: Iterable[str]) -> tuple[list[str], Labels]:
        """See `ItemStore.delete`."""
        asked = list(dict.fromkeys(item_ids))
        known = [item_id for item_id, label in zip(asked, self.labels_of(asked), strict=True) if label >= 0]
        if not known:
            return [], np.zeros(0, dtype=np.int64)
        with self._writing() as connection:
            dead = self._bury(connection, known)
            connection.executemany("DELETE FROM ids WHERE id = ?", ((item_id,) for item_id in known))
        return known, dead

    def record(self, events: Sequence[Event]) -> None:
        """See `ItemStore.record`."""
        if events:
            with self._writing() as connection:
                self._insert_events(connection, events)

    def replace_all(self, settings: Mapping[str, Any], rows: Iterable[Row], events: Iterable[Event]) -> None:
        """Keep something else from now on, in one step.

        Args:
            settings: plain JSON values.
            rows: by label, and all labels above `State.label`.
            events: what users did.
        """
        with self._writing() as connection:
            for table in ("items", "vectors", "ids", "tombstones", "events"):
                connection.execute(f"DELETE FROM {table}")
            _set(connection, "settings", json.dumps(settings))
            _set(connection, "epoch", uuid4().hex)
            _set(connection, "purged", self.state(connection).tombstone)
            for some in _chunks(rows):
                labels, items, vectors = zip(*some, strict=True)
                self._insert(connection, labels, items, np.stack(vectors))
            for some_events in _chunks(events):
                self._insert_events(connection, some_events)

    def purge_tombstones(self, until: int) -> None:
        """Stop listing tombstones up to this number: everything derived knows of them."""
        with self._writing() as connection:
            connection.execute("DELETE FROM tombstones WHERE number <= ?", (until,))
            _set(connection, "purged", until)

    def labels_of(self, item_ids: Sequence[str]) -> Labels:
        """See `ItemStore.labels_of`."""
        labels: dict[str, int] = {}
        for some in _chunks(item_ids):
            marks = ", ".join("?" * len(some))
            labels.update(self._database.rows(f"SELECT id, label FROM ids WHERE id IN ({marks})", *some))
        return np.array([labels.get(item_id, -1) for item_id in item_ids], dtype=np.int64)

    def items_at(self, labels: Sequence[int]) -> list[Item]:
        """The items with these labels.

        Raises:
            StaleError: one of them was deleted.
        """
        found = self._cache.find(labels)
        if len(found) < len(labels):
            read = self.find_items([label for label in labels if label not in found])
            self._cache.add(read)
            found |= read
        try:
            return [found[label] for label in labels]
        except KeyError as error:
            raise StaleError(f"the item with label {error} is gone from '{self._database.path}'") from None

    def find_items(self, labels: Sequence[int]) -> dict[int, Item]:
        """The items with these labels that there still are, by label."""
        found: dict[int, Item] = {}
        for some in _chunks(labels):
            marks = ", ".join("?" * len(some))
            rows = self._database.rows(f"SELECT label, item FROM items WHERE label IN ({marks})", *some)
            found.update((label, item_from_bytes(item)) for label, item in rows)
        return found

    def rows(self, connection: apsw.Connection, *, after: int = 0) -> Iterator[Row]:
        """Labels, items and vectors, by label.

        Args:
            connection: what sees them; see `Database.view`.
            after: only labels above.
        """
        found = connection.execute(
            "SELECT label, item, vector FROM items JOIN vectors USING (label) WHERE label > ? ORDER BY label",
            (after,),
        )
        for label, item, vector in found:
            yield int(label), item_from_bytes(item), np.frombuffer(vector, dtype="<f4")

    def items(self, connection: apsw.Connection) -> Iterator[tuple[int, Item]]:
        """Labels and items, by label."""
        for label, item in connection.execute("SELECT label, item FROM items ORDER BY label"):
            yield int(label), item_from_bytes(item)

    def tombstones(self, connection: apsw.Connection, *, after: int) -> Labels:
        """The labels that died after the first `after` tombstones."""
        found = connection.execute("SELECT label FROM tombstones WHERE number > ? ORDER BY number", (after,))
        return np.array([label for (label,) in found], dtype=np.int64)

    def events_of(self, user: str, *, until: datetime, newest: int) -> Sequence[Event]:
        """See `ItemStore.events_of`."""
        return self._latest("user = ? AND moment <= ?", user, _moment(until), newest=newest)

    def events_of_all(self, *, until: datetime, newest: int) -> Sequence[Event]:
        """See `ItemStore.events_of_all`."""
        return self._latest("moment <= ?", _moment(until), newest=newest)

    def events(self) -> Iterator[Event]:
        """See `ItemStore.events`; as of the first one."""
        with self._database.view() as connection:
            yield from map(event_from_row, connection.execute(f"SELECT {EVENT} FROM events ORDER BY number"))

    def close(self) -> None:
        """See `ItemStore.close`."""
        self._receipt.close()
        self._database.close()

    def _check_format(self) -> None:
        self._database.check_header()
        try:
            found = self._meta(self._database.reader)["format"]
        except (KeyError, StoreError) as error:
            if isinstance(error, StoreDamagedError):
                raise
            raise StoreDamagedError(
                f"file '{self._database.path}' is not an item store ({error}): restore it from a backup"
            ) from error
        if found != FORMAT:
            raise StoreVersionError(
                f"store '{self._database.path.parent}' has format {found}, this version reads {FORMAT}: "
                "upgrade twotower"
            )

    def _meta(self, connection: apsw.Connection) -> dict[str, Any]:
        with self._database.translated():
            return {str(name): value for name, value in connection.execute("SELECT name, value FROM meta")}

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """A transaction that is counted, and whose count is in the receipt when it is over."""
        with self._database.transaction() as connection:
            _set(connection, "commits", commits := int(self._meta(connection)["commits"]) + 1)
            yield connection
        try:
            self._receipt.write(commits)
        except OSError as error:
            self._database.fail(str(error))
            raise StoreError(f"file '{self._receipt.path}' cannot be written ({error})") from error
        self._database.tidy()

    def _bury(self, connection: apsw.Connection, ids: Sequence[str]) -> Labels:
        """Forget the current versions of some ids; returns their labels."""
        dead: list[int] = []
        for some in _chunks(ids):
            marks = ", ".join("?" * len(some))
            found = connection.execute(f"SELECT label FROM ids WHERE id IN ({marks})", some)
            dead += [label for (label,) in found]
        labels = sorted(dead)
        rows = [(label,) for label in labels]
        connection.executemany("INSERT INTO tombstones (label) VALUES (?)", rows)
        connection.executemany("DELETE FROM items WHERE label = ?", rows)
        connection.executemany("DELETE FROM vectors WHERE label = ?", rows)
        return np.array(labels, dtype=np.int64)

    def _insert(
        self, connection: apsw.Connection, labels: Sequence[int], items: Sequence[Item], vectors: Vectors
    ) -> None:
        little = np.ascontiguousarray(vectors, dtype="<f4")
        connection.executemany(
            "INSERT INTO items VALUES (?, ?)", zip(labels, map(item_to_bytes, items), strict=True)
        )
        connection.executemany(
            "INSERT INTO vectors VALUES (?, ?)", zip(labels, (row.tobytes() for row in little), strict=True)
        )
        connection.executemany(
            "INSERT OR REPLACE INTO ids VALUES (?, ?)", zip((item.id for item in items), labels, strict=True)
        )
        if labels:
            _set(connection, "label", labels[-1])

    def _insert_events(self, connection: apsw.Connection, events: Iterable[Event]) -> None:
        connection.executemany(
            f"INSERT INTO events ({EVENT}, moment) VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    each.user,
                    each.item,
                    each.kind,
                    each.time.isoformat(),
                    float(each.value),
                    _moment(each.time),
                )
                for each in events
            ),
        )

    def _latest(self, condition: str, *values: object, newest: int) -> list[Event]:
        statement = f"SELECT {EVENT} FROM events WHERE {condition} ORDER BY {LATEST} LIMIT ?"
        found = self._database.rows(statement, *values, newest)
        return [event_from_row(row) for row in reversed(found)]


def _set(connection: apsw.Connection, name: str, value: str | int) -> None:
    connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))


def _moment(time: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    return (time - EPOCH) // MICROSECOND


def _chunks(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    rest = iter(values)
    while some := tuple(islice(rest, PARAMETERS_PER_STATEMENT)):
        yield some
