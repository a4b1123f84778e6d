"""The item store in a store folder: one SQLite file; a write is on disk when its call returns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar
from uuid import uuid4

import apsw
import numpy as np

from twotower.errors import StaleError, StoreDamagedError, StoreError, StoreVersionError
from twotower.store.database import Database
from twotower.store.item_cache import ItemCache
from twotower.store.item_store import Digests, Labels, StoredItem
from twotower.store.receipt import Receipt
from twotower.store.records import item_from_bytes, item_to_bytes
from twotower.store.schema import FORMAT, TABLES
from twotower.store.sqlite_events import SqliteEvents
from twotower.types import Event, Item, Vectors

PARAMETERS_PER_STATEMENT = 1_000  # labels or ids
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """The progress of an item store; all numbers only grow.

    Args:
        epoch: changes when everything is replaced.
        commits: the number of writes.
        label: the newest label.
        tombstone: the newest tombstone: the number of item versions that were replaced or deleted.
        purged: tombstones up to this one were purged.
    """

    epoch: str
    commits: int
    label: int
    tombstone: int
    purged: int


class SqliteItemStore:
    """See `ItemStore`.

    Args:
        database: of the store.
        receipt: the number of acknowledged writes.

    Raises:
        StoreVersionError: another version wrote it, in a format that this one does not read.
        StoreDamagedError: it is damaged, or acknowledged writes are missing.
    """

    def __init__(self, database: Database, receipt: Receipt) -> None:
        self._database = database
        self._receipt = receipt
        self._cache = ItemCache()
        self._events = SqliteEvents(database)
        acknowledged = receipt.read()  # before the item store, to which another process may be writing
        self._check_format()
        if acknowledged is not None and self.state().commits < acknowledged:
            raise StoreDamagedError(
                f"file '{database.path}' lost {acknowledged - self.state().commits} acknowledged writes: restore it, "
                "with the files beside it, from a backup"
            )

    @classmethod
    def create(cls, database: Database, receipt: Receipt, settings: Mapping[str, Any]) -> SqliteItemStore:
        """Create the tables of an empty database, atomically."""
        with database.transaction() as connection:
            connection.execute(TABLES)
            meta = {
                "format": FORMAT,
                "settings": json.dumps(settings),
                "epoch": uuid4().hex,
                **dict.fromkeys(("commits", "label", "purged"), 0),
            }
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        try:
            receipt.write(0)
        except OSError as error:
            raise StoreError(f"file '{receipt.path}' cannot be written ({error})") from error
        return cls(database, receipt)

    @property
    def settings(self) -> Mapping[str, Any]:
        """How the retriever is composed, as plain JSON values."""
        settings: Mapping[str, Any] = json.loads(str(self._meta()["settings"]))
        return settings

    def state(self, connection: apsw.Connection | None = None) -> State:
        """The progress of the item store.

        Args:
            connection: to read it by; None for the newest state.
        """
        if connection is None:
            with self._database.reading() as newest:
                return self.state(newest)
        with self._database.translated():
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

    def upsert(self, items: Sequence[Item], vectors: Vectors, photos: Digests) -> tuple[Labels, Labels]:
        """See `ItemStore.upsert`."""
        with self._writing() as connection:
            deleted = self._add_tombstones(connection, [item.id for item in items])
            first = int(self._meta(connection)["label"]) + 1
            labels = range(first, first + len(items))
            stored = map(StoredItem, labels, items, vectors, (photos.get(item.id) for item in items))
            self._insert(connection, list(stored))
        return np.array(labels, dtype=np.int64), deleted

    def delete(self, item_ids: Iterable[str]) -> tuple[list[str], Labels]:
        """See `ItemStore.delete`."""
        ids = list(dict.fromkeys(item_ids))
        known = [item_id for item_id, label in zip(ids, self.labels_of(ids), strict=True) if label >= 0]
        if not known:
            return [], np.zeros(0, dtype=np.int64)
        with self._writing() as connection:
            deleted = self._add_tombstones(connection, known)
            connection.executemany("DELETE FROM ids WHERE id = ?", ((item_id,) for item_id in known))
        return known, deleted

    def record(self, events: Sequence[Event]) -> int:
        """See `ItemStore.record`."""
        if not events:
            return 0
        with self._writing() as connection:
            return self._events.insert(connection, events)

    def replace_all(
        self, settings: Mapping[str, Any], rows: Iterable[StoredItem], events: Iterable[Event]
    ) -> None:
        """Replace the whole content, atomically.

        Args:
            settings: plain JSON values.
            rows: in order of their labels, all above `State.label`.
            events: of all users.
        """
        with self._writing() as connection:
            for table in ("items", "vectors", "fresh_vectors", "ids", "tombstones", "events"):
                connection.execute(f"DELETE FROM {table}")
            _set(connection, "settings", json.dumps(settings))
            _set(connection, "epoch", uuid4().hex)
            _set(connection, "purged", self.state(connection).tombstone)
            for chunk in _chunks(rows):
                self._insert(connection, chunk)
            for event_chunk in _chunks(events):
                self._events.insert(connection, event_chunk)

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace the settings.

        Args:
            settings: plain JSON values.
        """
        with self._writing() as connection:
            _set(connection, "settings", json.dumps(settings))

    def begin_encoding(self, target: str | None) -> None:
        """Prepare to encode all items anew, or to resume where an interrupted attempt stopped.

        Args:
            target: what identifies the encoder; None starts anew, as does another target than last time.
        """
        if target is None or self._meta().get("target") != target:
            with self._writing() as connection:
                connection.execute("DELETE FROM fresh_vectors")
                connection.execute("INSERT OR REPLACE INTO meta VALUES ('target', ?)", (target or "",))

    def not_encoded(self, *, after: int, count: int) -> list[tuple[int, Item]]:
        """The next items without a fresh vector, with their labels.

        Args:
            after: only labels above this one.
            count: how many at most.
        """
        found = self._database.rows(
            "SELECT label, item FROM items WHERE label > ? AND label NOT IN (SELECT label FROM fresh_vectors) "
            "ORDER BY label LIMIT ?",
            after,
            count,
        )
        return [(int(label), item_from_bytes(item)) for label, item in found]

    def add_encoded(self, stored: Sequence[StoredItem]) -> None:
        """Keep fresh vectors, beside those that are searched."""
        with self._writing() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO fresh_vectors VALUES (?, ?, ?)",
                ((each.label, _to_blob(each.vector), each.photo) for each in stored),
            )

    def finish_encoding(self, settings: Mapping[str, Any]) -> None:
        """Replace all vectors by the fresh ones, atomically; labels stay, so earlier snapshots can still be read.

        Args:
            settings: with the new encoder.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM vectors")
            connection.execute(
                "INSERT INTO vectors SELECT label, vector FROM fresh_vectors JOIN items USING (label)"
            )
            connection.execute(
                "UPDATE items SET photo = fresh_vectors.photo FROM fresh_vectors "
                "WHERE fresh_vectors.label = items.label"
            )
            connection.execute("DELETE FROM fresh_vectors")
            connection.execute("DELETE FROM meta WHERE name = 'target'")
            _set(connection, "settings", json.dumps(settings))
            _set(connection, "epoch", uuid4().hex)

    def purge_tombstones(self, until: int) -> None:
        """Purge tombstones up to this number, which all derived files reflect."""
        with self._writing() as connection:
            connection.execute("DELETE FROM tombstones WHERE number <= ?", (until,))
            _set(connection, "purged", until)

    def labels_of(self, item_ids: Sequence[str]) -> Labels:
        """See `ItemStore.labels_of`."""
        labels: dict[str, int] = {}
        for chunk in _chunks(item_ids):
            marks = ", ".join("?" * len(chunk))
            labels.update(self._database.rows(f"SELECT id, label FROM ids WHERE id IN ({marks})", *chunk))
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
            raise StaleError(
                f"the item with label {error} was deleted from '{self._database.path}'"
            ) from None

    def find_items(self, labels: Sequence[int]) -> dict[int, Item]:
        """The items with these labels that are still stored, by label."""
        found = self._by_label("SELECT label, item FROM items", labels)
        return {label: item_from_bytes(item) for label, item in found.items()}

    def photos_at(self, labels: Sequence[int]) -> list[bytes | None]:
        """See `ItemStore.photos_at`."""
        found = self._by_label("SELECT label, photo FROM items", labels)
        return [found.get(label) for label in labels]

    def vectors_at(self, labels: Sequence[int]) -> list[Vectors]:
        """The vectors of these labels, which are stored, float32 of shape (dim,) each."""
        found = self._by_label("SELECT label, vector FROM vectors", labels)
        return [np.frombuffer(found[label], dtype="<f4") for label in labels]

    def rows(self, connection: apsw.Connection, *, after: int = 0) -> Iterator[StoredItem]:
        """The items in order of their labels.

        Args:
            connection: to read by; see `Database.view`.
            after: only labels above this one.
        """
        found = connection.execute(
            "SELECT label, item, vector, photo FROM items JOIN vectors USING (label) WHERE label > ? ORDER BY label",
            (after,),
        )
        for label, item, vector, photo in found:
            yield StoredItem(int(label), item_from_bytes(item), np.frombuffer(vector, dtype="<f4"), photo)

    def items(self, connection: apsw.Connection) -> Iterator[tuple[int, Item]]:
        """Labels and items, in order of their labels."""
        for label, item in connection.execute("SELECT label, item FROM items ORDER BY label"):
            yield int(label), item_from_bytes(item)

    def tombstones(self, connection: apsw.Connection, *, after: int) -> Labels:
        """The deleted labels of all tombstones after number `after`."""
        found = connection.execute("SELECT label FROM tombstones WHERE number > ? ORDER BY number", (after,))
        return np.array([label for (label,) in found], dtype=np.int64)

    def events_of(
        self, user: str, *, until: datetime, newest: int, stored_items: bool = False
    ) -> Sequence[Event]:
        """See `ItemStore.events_of`."""
        return self._events.of(user, until=until, newest=newest, stored_items=stored_items)

    def events_of_all(self, *, until: datetime, newest: int, stored_items: bool = False) -> Sequence[Event]:
        """See `ItemStore.events_of_all`."""
        return self._events.of_all(until=until, newest=newest, stored_items=stored_items)

    def seen_by(self, user: str, *, until: datetime) -> set[str]:
        """See `ItemStore.seen_by`."""
        return self._events.seen_by(user, until=until)

    def events(self) -> Iterator[Event]:
        """See `ItemStore.events`; a snapshot taken when the first event is read."""
        return self._events.all()

    def events_in(self, connection: apsw.Connection) -> Iterator[Event]:
        """The events of all users in the view of a connection, in the order in which they were recorded."""
        return self._events.read(connection)

    def events_since(self, number: int) -> tuple[int, list[Event]]:
        """See `ItemStore.events_since`."""
        return self._events.since(number)

    def count_events(self) -> int:
        """See `ItemStore.count_events`."""
        return self._events.count()

    def close(self) -> None:
        """See `ItemStore.close`."""
        self._receipt.close()
        self._database.close()

    def _check_format(self) -> None:
        self._database.check_header()
        try:
            found = self._meta()["format"]
        except (KeyError, StoreError) as error:
            if isinstance(error, StoreDamagedError):
                raise
            raise StoreDamagedError(
                f"file '{self._database.path}' is not an item store ({error}): restore it from a backup"
            ) from error
        if found != FORMAT:
            newer = isinstance(found, int) and found > FORMAT
            advice = (
                "upgrade twotower"
                if newer
                else "export it with the version that wrote it, and index it again"
            )
            raise StoreVersionError(
                f"store '{self._database.path.parent}' has format {found}, this version reads {FORMAT}: {advice}"
            )

    def _meta(self, connection: apsw.Connection | None = None) -> dict[str, Any]:
        statement = "SELECT name, value FROM meta"
        with self._database.translated():
            rows = self._database.rows(statement) if connection is None else connection.execute(statement)
            return {str(name): value for name, value in rows}

    @contextmanager
    def _writing(self) -> Iterator[apsw.Connection]:
        """A transaction that is counted; the receipt holds the count afterwards."""
        with self._database.transaction() as connection:
            _set(connection, "commits", commits := int(self._meta(connection)["commits"]) + 1)
            yield connection
        try:
            self._receipt.write(commits)
        except OSError as error:
            self._database.fail(str(error))
            raise StoreError(f"file '{self._receipt.path}' cannot be written ({error})") from error
        self._database.tidy()

    def _add_tombstones(self, connection: apsw.Connection, ids: Sequence[str]) -> Labels:
        """Delete the current versions of these ids and add tombstones; returns their labels, ascending."""
        found_labels: list[int] = []
        for chunk in _chunks(ids):
            marks = ", ".join("?" * len(chunk))
            found = connection.execute(f"SELECT label FROM ids WHERE id IN ({marks})", chunk)
            found_labels += [label for (label,) in found]
        labels = sorted(found_labels)
        rows = [(label,) for label in labels]
        connection.executemany("INSERT INTO tombstones (label) VALUES (?)", rows)
        connection.executemany("DELETE FROM items WHERE label = ?", rows)
        connection.executemany("DELETE FROM vectors WHERE label = ?", rows)
        return np.array(labels, dtype=np.int64)

    def _insert(self, connection: apsw.Connection, stored: Sequence[StoredItem]) -> None:
        connection.executemany(
            "INSERT INTO items VALUES (?, ?, ?)",
            ((each.label, item_to_bytes(each.item), each.photo) for each in stored),
        )
        connection.executemany(
            "INSERT INTO vectors VALUES (?, ?)",
            ((each.label, _to_blob(each.vector)) for each in stored),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO ids VALUES (?, ?)", ((each.item.id, each.label) for each in stored)
        )
        if stored:
            _set(connection, "label", stored[-1].label)

    def _by_label(self, select: str, labels: Sequence[int]) -> dict[int, Any]:
        """One column of these labels, by label."""
        found: dict[int, Any] = {}
        for chunk in _chunks(labels):
            marks = ", ".join("?" * len(chunk))
            found.update(self._database.rows(f"{select} WHERE label IN ({marks})", *chunk))
        return found


def _set(connection: apsw.Connection, name: str, value: str | int) -> None:
    connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))


def _to_blob(vector: Vectors) -> bytes:
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()


def _chunks(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    rest = iter(values)
    while chunk := tuple(islice(rest, PARAMETERS_PER_STATEMENT)):
        yield chunk
