"""Reads a database without leaving a trace, which needs no permission to write.

SQLite writes even to read: an index of the write-ahead log, in a file beside the database. Where there is a log, this
reader uses the index that the writer keeps, as it is. Where there is none, the file is all there is, and it stays as
it is while the reader holds the lease that a writer needs to move its log into the file.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias
from weakref import WeakSet

import apsw

from twotower.store.connections import BUSY_MS, PAGE_SIZE, open_live, open_reader, open_still
from twotower.store.lock import FileLease

ATTEMPT_SECONDS = 0.002
FRAME_HEADER_BYTES = 24
LOG_HEADER = struct.Struct(">8I")  # the last two are the checksum of the others

Version: TypeAlias = tuple[int, int, int]
"""Inode, size and time of change of a file."""


class TracelessReader:
    """Connections for reading a database that other processes may write.

    Args:
        path: of the database.
        lease: see `FileLease`; the writer takes it before it changes the file.
    """

    def __init__(self, path: Path, lease: FileLease) -> None:
        self._path = path
        self._wal, self._index = (path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))
        self._lease = lease
        self._here = threading.local()
        self._connections: WeakSet[apsw.Connection] = WeakSet()
        self._copy: TemporaryDirectory[str] | None = None

    @contextmanager
    def connection(self, *, own: bool = False) -> Iterator[apsw.Connection]:
        """A connection that sees one state throughout.

        Args:
            own: for a long reading: not the connection that this thread keeps for short ones.
        """
        deadline = time.monotonic() + BUSY_MS / 1_000
        while True:
            late = time.monotonic() > deadline
            if holds_log(self._wal):
                if (live := self._live(last=late)) is not None:
                    with closing(live):
                        yield live
                    return
            else:
                with self._lease.shared() as leased:
                    if leased and not holds_log(self._wal):
                        yield self._still(own=own)
                        return
                if late:
                    raise apsw.BusyError("another process keeps it locked")
            time.sleep(ATTEMPT_SECONDS)  # the writer is moving its log, or closing

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._connections):
            connection.close()
        if self._copy is not None:
            self._copy.cleanup()

    def _still(self, *, own: bool) -> apsw.Connection:
        kept: tuple[int, Version, apsw.Connection] | None = getattr(self._here, "kept", None)
        try:
            version = _version(self._path)
        except FileNotFoundError:
            if kept is None or kept[0] != os.getpid():
                raise
            version = kept[1]  # the store was removed; what is open can be read to the end
        if not own and kept is not None and kept[:2] == (os.getpid(), version):
            return kept[2]
        connection = open_still(self._path)
        self._connections.add(connection)
        if not own:
            self._here.kept = os.getpid(), version, connection
        return connection

    def _live(self, *, last: bool) -> apsw.Connection | None:
        """A connection inside a transaction; None if the log went meanwhile, unless this is the last attempt."""
        connection = None
        try:
            connection = open_live(self._path) if self._index.exists() else open_reader(self._copied())
            connection.execute("BEGIN")
            connection.execute(
                "SELECT count(*) FROM sqlite_schema"
            ).fetchall()  # the first read fixes the state
        except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.BusyError, FileNotFoundError):
            if connection is not None:
                connection.close()
            if last:
                raise
            return None
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._connections.add(connection)
        return connection

    def _copied(self) -> Path:
        """A copy of the database and its log, which a backup may have left without the index that reading needs."""
        if self._copy is None:
            self._copy = TemporaryDirectory(prefix="twotower-")
            for path in (self._path, self._wal):
                shutil.copyfile(path, Path(self._copy.name, path.name))
        return Path(self._copy.name, self._path.name)


def holds_log(wal: Path) -> bool:
    """Whether a file is a write-ahead log with a whole header and a page; SQLite ignores any other."""
    try:
        with wal.open("rb") as file:
            header = file.read(LOG_HEADER.size)
    except FileNotFoundError:
        return False
    if size_of(wal) < LOG_HEADER.size + FRAME_HEADER_BYTES + PAGE_SIZE:
        return False
    magic, *_, first, second = LOG_HEADER.unpack(header)
    words = struct.unpack(">6I" if magic & 1 else "<6I", header[:24])
    sums = [0, 0]
    for even, odd in zip(words[::2], words[1::2], strict=True):
        sums[0] = (sums[0] + even + sums[1]) & 0xFFFFFFFF
        sums[1] = (sums[1] + odd + sums[0]) & 0xFFFFFFFF
    return sums == [first, second]


def size_of(path: Path) -> int:
    """The size of a file, 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _version(path: Path) -> Version:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
