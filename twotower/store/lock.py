"""Locks: one process at a time writes to a folder, and nobody changes a file that others are reading."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from twotower.errors import StoreError
from twotower.store import files

LOCK = "LOCK"
POLL_SECONDS = 0.002


class WriteLock:
    """A locked folder.

    Args:
        folder: an absolute path; created if it is missing, and then removed by `release` if it is still empty.
        wait: how many seconds to wait for another process.

    Raises:
        StoreError: another process has the lock, or the folder cannot be locked.
    """

    def __init__(self, folder: Path, *, wait: float = 0.0) -> None:
        if not wait >= 0:
            raise ValueError(f"wait must be at least 0 seconds, got {wait}")
        self.folder = folder
        try:
            new = [path for path in (folder, *folder.parents) if not path.exists()]
            self._created = bool(new)
            folder.mkdir(parents=True, exist_ok=True)
            for path in new:
                files.sync(path.parent)
            self._lock = FileLock(folder / LOCK, thread_local=False)
            self._lock.acquire(timeout=wait)
        except Timeout:
            waited = f" after {wait:g} seconds of waiting" if wait else ""
            raise StoreError(
                f"store '{folder}' is open for writing elsewhere{waited}: close it there, wait longer with "
                "wait= or --wait, or open it with read_only=True"
            ) from None
        except OSError as error:
            raise StoreError(f"folder '{folder}' cannot be locked for writing ({error})") from error

    def release(self) -> None:
        """Release the lock; does nothing if it was released before."""
        if not self._lock.is_locked:
            return
        if self._created and {path.name for path in self.folder.iterdir()} == {LOCK}:
            with suppress(OSError):
                (self.folder / LOCK).unlink()
                self.folder.rmdir()
        self._lock.release()


class FileLease:
    """Held by readers together, or by a writer alone while it changes a file that they read without SQLite's locks.

    Args:
        path: an existing file that stands for the lease; where there is none, or locks are not supported, everybody
            holds the lease.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def shared(self) -> Iterator[bool]:
        """Try to hold it as a reader; returns whether it is held."""
        with self._held(fcntl.LOCK_SH, wait=0.0) as held:
            yield held

    @contextmanager
    def alone(self, *, wait: float) -> Iterator[bool]:
        """Try to hold it as the writer; returns whether it is held.

        Args:
            wait: seconds.
        """
        with self._held(fcntl.LOCK_EX, wait=wait) as held:
            yield held

    @contextmanager
    def _held(self, how: int, *, wait: float) -> Iterator[bool]:
        deadline = time.monotonic() + wait
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except OSError:
            yield True
            return
        try:
            yield _locks(descriptor, how, deadline)
        finally:
            os.close(descriptor)


def _locks(descriptor: int, how: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        except OSError:  # a file system without locks
            return True
        else:
            return True
