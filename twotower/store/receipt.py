"""The number of acknowledged writes, kept outside the item store so that the loss of any is noticed.

SQLite silently drops the end of a damaged write-ahead log, as if those transactions had never been committed. The
number is written here after each commit, so an item store with fewer commits has lost some.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

_NUMBER = struct.Struct("<Q")
_RECORD = struct.Struct("<QI")  # the number and the CRC-32 of its bytes


class Receipt:
    """One number in a file, replaced in place.

    It is not synced with fsync: it survives a killed process, and after a power failure it may lag behind the item
    store but is never ahead of it.

    Args:
        path: the file; created by the first `write`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def write(self, commits: int) -> None:
        """Store the number of commits.

        Raises:
            OSError: it cannot be written.
        """
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        number = _NUMBER.pack(commits)
        written = os.pwrite(self._descriptor, number + struct.pack("<I", zlib.crc32(number)), 0)
        if written != _RECORD.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def read(self) -> int | None:
        """The number; None if the file is missing or damaged."""
        try:
            commits, checksum = _RECORD.unpack(self.path.read_bytes())
        except (OSError, struct.error):
            return None
        return int(commits) if zlib.crc32(_NUMBER.pack(commits)) == checksum else None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
