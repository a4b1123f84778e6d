"""The right to write to a folder, which one process at a time has."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from twotower.errors import StoreError

LOCK = "LOCK"


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
            self._created = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
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
        """Release the lock; does nothing if that has happened."""
        if not self._lock.is_locked:
            return
        if self._created and {path.name for path in self.folder.iterdir()} == {LOCK}:
            with suppress(OSError):
                (self.folder / LOCK).unlink()
                self.folder.rmdir()
        self._lock.release()
