"""One SQLite file: one connection for writing, one per thread for reading, and a checksum on every page.

It uses a write-ahead log with synchronous=FULL: a transaction is on disk when it returns.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import apsw

from twotower.errors import ClosedError, StoreDamagedError, StoreError
from twotower.store.connections import CHECKSUM_BYTES, PAGE_SIZE, has_page_checksums, open_reader, open_writer
from twotower.store.lock import FileLease
from twotower.store.traceless_reader import TracelessReader, size_of

MAX_WAL_BYTES = 64 << 20
LEASE_SECONDS = 1.0  # how long a writer waits for readers before it leaves its log where it is

logger = logging.getLogger(__name__)


class Database:
    """A database file.

    Args:
        path: the file; created if it is missing and `writable`.
        lease: held by those who read the file alone, and by the writer while it changes it.
        writable: open it for writing, which one process at a time may do; otherwise nothing is written, not even
            beside it.

    Raises:
        StoreError: it cannot be opened.
        StoreDamagedError: the file is damaged.
    """

    def __init__(self, path: Path, lease: FileLease, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self.failure: str | None = None
        self._closed = False
        self._lease = lease
        self._wal = path.with_name(f"{path.name}-wal")
        self._here = threading.local()
        self._connections: WeakSet[apsw.Connection] = WeakSet()
        self._writing = threading.RLock()
        with self.translated():
            self._writer = open_writer(path) if writable else None
        self._traceless = None if writable else TracelessReader(path, lease)

    @property
    def page_checksums(self) -> bool:
        """Whether page checksums are verified, which needs an extension of SQLite."""
        return has_page_checksums()

    def check_header(self) -> None:
        """Check that the pages reserve room for checksums: a damaged header would turn them off.

        Raises:
            StoreDamagedError: they do not.
        """
        with self.reading() as connection:
            reserved = connection.reserve_bytes("main")
        if reserved != CHECKSUM_BYTES:
            raise StoreDamagedError(f"file '{self.path}' is damaged (its header): restore it from a backup")

    @contextmanager
    def reading(self) -> Iterator[apsw.Connection]:
        """A connection for a short reading in this thread."""
        with self.translated():
            if self._traceless is None:
                yield self._reader()
            else:
                with self._traceless.connection() as connection:
                    yield connection

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            StoreDamagedError: a page that the query reads is damaged.
        """
        with self.reading() as connection:
            return list(connection.execute(statement, values))

    @contextmanager
    def view(self) -> Iterator[apsw.Connection]:
        """A separate connection with snapshot isolation: it sees one state of the database throughout."""
        with self.translated():
            if self._traceless is not None:
                with self._traceless.connection(own=True) as connection:
                    yield connection
                return
            connection = open_reader(self.path)
            self._connections.add(connection)
            try:
                connection.execute("BEGIN")
                connection.execute(
                    "SELECT count(*) FROM sqlite_schema"
                ).fetchall()  # the first read fixes the state
                yield connection
            finally:
                connection.close()

    @contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """A write transaction: at the end either all of it is on disk, or none.

        After a disk error all writes are refused until the database is opened again, because only then is it known
        what the disk holds.

        Raises:
            StoreError: the database is read-only, or the disk failed.
        """
        if self._closed:
            raise ClosedError
        if self._writer is None:
            raise StoreError(f"store '{self.path.parent}' is open read-only: open it for writing")
        if self.failure is not None:
            raise StoreError(
                f"store '{self.path.parent}' accepts no more writes after an error ({self.failure}): open it again"
            )
        with self._writing, self.translated(self.fail):
            self._roll_back()  # what a second Ctrl-C may have left open
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:  # Ctrl-C, too
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        assert self._writer is not None
        if self._writer.in_transaction:  # SQLite may have rolled back already
            with suppress(apsw.Error):
                self._writer.execute("ROLLBACK")

    def tidy(self, *, whole: bool = False) -> None:
        """Checkpoint the write-ahead log into the database if it has grown large.

        Args:
            whole: checkpoint whatever its size, wait for readers, and truncate the log.
        """
        if self._writer is None or not (whole or size_of(self._wal) > MAX_WAL_BYTES):
            return
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if whole else apsw.SQLITE_CHECKPOINT_PASSIVE
        with self._lease.alone(wait=LEASE_SECONDS if whole else 0.0) as alone:
            if not alone:
                return
            with self._writing, self.translated(self.fail), suppress(apsw.BusyError):
                self._writer.wal_checkpoint(mode=mode)
            now = time.time_ns()
            with suppress(
                OSError
            ):  # the clock of the file system may be too coarse for readers to see the change
                os.utime(self.path, ns=(now, now))

    def shrink(self) -> None:
        """Return the space of deleted rows to the file system."""
        if self._writer is not None:
            with self._writing, self.translated(self.fail):
                self._writer.execute("VACUUM")
            self.tidy(whole=True)

    def problems(self) -> Iterator[str]:
        """The problems of the file, one sentence each; reads and checks every page."""
        try:
            found = self.rows("PRAGMA integrity_check(5)")
            yield from (f"file '{self.path}': {text}" for (text,) in found if text != "ok")
        except StoreDamagedError as error:
            yield str(error)
        if self.page_checksums:
            yield from self._damaged_pages()

    def fail(self, reason: str) -> None:
        """Refuse writes from now on."""
        self.failure = reason
        logger.error(
            "store '%s': %s; it accepts no more writes until it is opened again", self.path.parent, reason
        )

    def close(self, *, untouched: bool = False) -> None:
        """Close every connection.

        Args:
            untouched: leave the write-ahead log as it is, which also happens after a disk error.
        """
        if not (untouched or self._closed or self.failure is not None):
            with suppress(StoreError):
                self.tidy(whole=True)
        if self._writer is not None and size_of(self._wal):  # else nothing is left to move
            with suppress(apsw.Error):
                self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._closed, self.failure = True, self.failure or "it was closed"
        if self._traceless is not None:
            self._traceless.close()
        writers = [] if self._writer is None else [self._writer]
        for connection in [
            *self._connections,
            *writers,
        ]:  # the last one removes the log, which a reader must not
            with suppress(apsw.Error):
                connection.close()

    def _reader(self) -> apsw.Connection:
        """This thread's connection for reading; a forked child gets its own."""
        found: tuple[int, apsw.Connection] | None = getattr(self._here, "connection", None)
        if found is None or found[0] != os.getpid():
            found = os.getpid(), open_reader(self.path)
            self._connections.add(found[1])
            self._here.connection = found
        return found[1]

    def _damaged_pages(self) -> Iterator[str]:
        """Check every page, including those that no query reads, such as pages of deleted rows."""
        with self.reading():  # so that no other process checkpoints meanwhile
            yield from self._damaged_pages_of_file()

    def _damaged_pages_of_file(self) -> Iterator[str]:
        if size_of(self._wal):
            return  # a checkpoint may have written half of a page
        # Not `open`: closing any other descriptor of a file drops the locks that SQLite holds on it in this process.
        flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
        file = apsw.VFSFile("unix", str(self.path), flags)
        try:
            for number in range(-(-file.xFileSize() // PAGE_SIZE)):
                page = file.xRead(min(PAGE_SIZE, file.xFileSize() - number * PAGE_SIZE), number * PAGE_SIZE)
                if any(page) and not self._is_whole(page):
                    yield f"file '{self.path}': page {number + 1} is damaged"
        finally:
            file.xClose()

    def _is_whole(self, page: bytes) -> bool:
        return bool(len(page) == PAGE_SIZE and self.rows("SELECT verify_checksum(?)", page)[0][0])

    @contextmanager
    def translated(self, on_failure: Callable[[str], None] | None = None) -> Iterator[None]:
        """Translate SQLite's errors into ours.

        Args:
            on_failure: called with the message of an error.
        """
        if self._closed:
            raise ClosedError
        try:
            yield
        except apsw.Error as error:
            if self._closed:  # meanwhile
                raise ClosedError from error
            if on_failure is not None:
                on_failure(str(error))
            if _is_damage(error):
                raise StoreDamagedError(
                    f"file '{self.path}' is damaged ({error}): restore it from a backup"
                ) from error
            raise StoreError(f"file '{self.path}' cannot be used ({error})") from error


def _is_damage(error: apsw.Error) -> bool:
    damage = {apsw.SQLITE_IOERR_DATA, apsw.SQLITE_IOERR_SHORT_READ}
    return (
        isinstance(error, apsw.CorruptError | apsw.NotADBError)
        or getattr(error, "extendedresult", None) in damage
    )
