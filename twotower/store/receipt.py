"""How many writes were acknowledged, kept outside the item store: what the item store cannot lose unnoticed.

SQLite drops the end of a damaged write-ahead log without a word, as if those transactions had never been finished.
The number here is written after each commit, so an item store that knows of fewer commits has lost some.
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

    It is not synced: a process that dies leaves it to the operating system, and after a loss of power it may be
    behind the item store, never ahead of it.

    Args:
        path: the file; made by the first `write`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def write(self, commits: int) -> None:
        """Note how many commits there were.

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
        """The number; None where the file is missing or damaged."""
        try:
            commits, checksum = _RECORD.unpack(self.path.read_bytes())
        except (OSError, struct.error):
            return None
        return int(commits) if zlib.crc32(_NUMBER.pack(commits)) == checksum else None

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
