"""One SQLite file: one connection for writing, one per thread for reading, and a checksum on every page.

It uses a write-ahead log with synchronous=FULL: a transaction is on disk when it returns. APSW bundles a version of
SQLite without the WAL-reset bug (fixed in 3.51.3) and with the checksum extension, which the one in the standard
library often lacks.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import apsw
import apsw.sqlite_extra

from twotower.errors import StoreDamagedError, StoreError

PAGE_SIZE = 8192
CHECKSUM_BYTES = 8
CHECKED_VFS = "cksmvfs"
BUSY_MS = 10_000
MAX_WAL_BYTES = 64 << 20

logger = logging.getLogger(__name__)


class Database:
    """A database file.

    Args:
        path: the file; created if it is missing and `writable`.
        writable: open it for writing, which one process at a time may do.

    Raises:
        StoreError: it cannot be opened.
        StoreDamagedError: the file is damaged.
    """

    def __init__(self, path: Path, *, writable: bool) -> None:
        self.path = path
        self.writable = writable
        self.failure: str | None = None
        self._here = threading.local()
        self._connections: WeakSet[apsw.Connection] = WeakSet()
        self._writing = threading.RLock()
        with self.translated():
            self._writer = self._connect(create=True) if writable else None

    @property
    def page_checksums(self) -> bool:
        """Whether page checksums are verified, which needs the extension."""
        return _vfs() is not None

    def check_header(self) -> None:
        """Check that the pages reserve room for checksums: a damaged header would turn them off.

        Raises:
            StoreDamagedError: they do not.
        """
        with self.translated():
            reserved = self.reader.reserve_bytes("main")
        if reserved != CHECKSUM_BYTES:
            raise StoreDamagedError(f"file '{self.path}' is damaged (its header): restore it from a backup")

    @property
    def reader(self) -> apsw.Connection:
        """This thread's connection for reading; a forked child gets its own."""
        found: tuple[int, apsw.Connection] | None = getattr(self._here, "connection", None)
        if found is None or found[0] != os.getpid():
            with self.translated():
                found = os.getpid(), self._connect(create=False)
            self._here.connection = found
        return found[1]

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows of a query.

        Raises:
            StoreDamagedError: a page that the query reads is damaged.
        """
        with self.translated():
            return list(self.reader.execute(statement, values))

    @contextmanager
    def view(self) -> Iterator[apsw.Connection]:
        """A separate connection with snapshot isolation: it sees one state of the database throughout."""
        with self.translated():
            connection = self._connect(create=False)
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
        if self._writer is None:
            raise StoreError(f"store '{self.path.parent}' is open read-only: open it for writing")
        if self.failure is not None:
            raise StoreError(
                f"store '{self.path.parent}' takes no more writes after an error ({self.failure}): open it again"
            )
        with self._writing, self.translated(self.fail):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):  # SQLite may have rolled back already
                    self._writer.execute("ROLLBACK")
                raise

    def tidy(self, *, whole: bool = False) -> None:
        """Checkpoint the write-ahead log into the database if it has grown large.

        Args:
            whole: checkpoint whatever its size, wait for readers, and truncate the log.
        """
        wal = self.path.with_name(f"{self.path.name}-wal")
        if self._writer is None or not (whole or (wal.exists() and wal.stat().st_size > MAX_WAL_BYTES)):
            return
        mode = apsw.SQLITE_CHECKPOINT_TRUNCATE if whole else apsw.SQLITE_CHECKPOINT_PASSIVE
        with self._writing, self.translated(self.fail), suppress(apsw.BusyError):
            self._writer.wal_checkpoint(mode=mode)

    def shrink(self) -> None:
        """Return the space of deleted rows to the file system."""
        if self._writer is not None:
            with self._writing, self.translated(self.fail):
                self._writer.execute("VACUUM")
            self.tidy(whole=True)

    def problems(self) -> Iterator[str]:
        """The problems of the file, one sentence each; reads and checks every page."""
        try:
            with self.translated():
                found = self.reader.execute("PRAGMA integrity_check(5)").fetchall()
            yield from (f"file '{self.path}': {text}" for (text,) in found if text != "ok")
        except StoreDamagedError as error:
            yield str(error)
        if self.page_checksums:
            yield from self._damaged_pages()

    def fail(self, reason: str) -> None:
        """Refuse writes from now on."""
        self.failure = reason
        logger.error(
            "store '%s': %s; it takes no more writes until it is opened again", self.path.parent, reason
        )

    def close(self, *, untouched: bool = False) -> None:
        """Close every connection.

        Args:
            untouched: leave the write-ahead log as it is, which also happens after a disk error.
        """
        if self._writer is not None and (untouched or self.failure is not None):
            with suppress(apsw.Error):
                self._writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.failure = self.failure or "it was closed"
        readers = [connection for connection in self._connections if connection is not self._writer]
        writers = [] if self._writer is None else [self._writer]
        for connection in readers + writers:  # the last one removes the log, which a reader must not
            with suppress(apsw.Error):
                connection.close()

    def _damaged_pages(self) -> Iterator[str]:
        """Check every page, including those that no query reads, such as pages of deleted rows."""
        wal = self.path.with_name(f"{self.path.name}-wal")
        if wal.exists() and wal.stat().st_size:
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

    def _connect(self, *, create: bool) -> apsw.Connection:
        flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
        connection = apsw.Connection(str(self.path), flags=flags, vfs=_vfs())
        self._connections.add(connection)
        try:
            self._prepare(connection, create=create)
        except BaseException:
            with suppress(apsw.Error):
                connection.close()
            raise
        return connection

    @staticmethod
    def _prepare(connection: apsw.Connection, *, create: bool) -> None:
        connection.set_busy_timeout(BUSY_MS)
        if create and not connection.pragma("page_count"):  # new, or killed during creation
            connection.pragma("page_size", PAGE_SIZE)
            connection.reserve_bytes("main", CHECKSUM_BYTES)
        if create:
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "full")
            connection.pragma("fullfsync", True)
            connection.pragma("checkpoint_fullfsync", True)
            connection.wal_autocheckpoint(0)
        else:
            connection.pragma("query_only", True)
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    @contextmanager
    def translated(self, on_failure: Callable[[str], None] | None = None) -> Iterator[None]:
        """Translate SQLite's errors into ours.

        Args:
            on_failure: called with the message of an error.
        """
        try:
            yield
        except apsw.Error as error:
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


@cache
def _vfs() -> str | None:
    """The name of the SQLite VFS that verifies page checksums; None if this build of APSW lacks it."""
    try:
        apsw.sqlite_extra.load(apsw.Connection(":memory:"), "cksumvfs")
    except (apsw.sqlite_extra.NotAvailable, apsw.Error, OSError):
        return None
    return CHECKED_VFS
