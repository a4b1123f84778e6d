"""The ways in which SQLite opens the file of a store.

APSW bundles a version of SQLite without the WAL-reset bug (fixed in 3.51.3) and with the checksum extension, which
the one in the standard library often lacks.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import apsw
import apsw.sqlite_extra

PAGE_SIZE = 8192
CHECKSUM_BYTES = 8
CHECKED_VFS = "cksmvfs"
BUSY_MS = 10_000


def open_writer(path: Path) -> apsw.Connection:
    """Open a database for writing, with a write-ahead log that every commit syncs; created if it is missing."""
    connection = _opened(str(path), apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        if not connection.pragma("page_count"):  # new, or killed during creation
            connection.pragma("page_size", PAGE_SIZE)
            connection.reserve_bytes("main", CHECKSUM_BYTES)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("fullfsync", True)
        connection.pragma("checkpoint_fullfsync", True)
        connection.wal_autocheckpoint(0)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a database for reading in the process that writes it."""
    connection = _opened(str(path), apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", True)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def open_still(path: Path) -> apsw.Connection:
    """Open a database that does not change meanwhile and has no write-ahead log; leaves no trace."""
    return _opened(f"{path.as_uri()}?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)


def open_live(path: Path) -> apsw.Connection:
    """Open a database with a write-ahead log and its index, which another process may be writing; leaves no trace."""
    connection = _opened(f"{path.as_uri()}?readonly_shm=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)  # it would try to otherwise
    return connection


def has_page_checksums() -> bool:
    """Whether this build of APSW verifies page checksums."""
    return vfs() is not None


@cache
def vfs() -> str | None:
    """The name of the SQLite VFS that verifies page checksums; None if this build of APSW lacks it."""
    try:
        apsw.sqlite_extra.load(apsw.Connection(":memory:"), "cksumvfs")
    except (apsw.sqlite_extra.NotAvailable, apsw.Error, OSError):
        return None
    return CHECKED_VFS


def _opened(name: str, flags: int) -> apsw.Connection:
    connection = apsw.Connection(name, flags=flags, vfs=vfs())
    connection.set_busy_timeout(BUSY_MS)
    return connection
