"""A disk below SQLite and below the store's own files, which fails when it is told to and remembers what was done.

It knows four kinds of operation: write, sync, rename and unlink.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import apsw

from twotower.store import connections, files, receipt

CHECKED = connections.vfs()
WRITE = files._Hashing.write
RENAME = Path.replace
FAULTY = "faulty"
SQLITE = {errno.ENOSPC: apsw.FullError, errno.EIO: apsw.IOError}


class Operation(NamedTuple):
    """What was done to a file or folder; a file or folder that is renamed has a target."""

    kind: str
    path: Path
    target: Path | None = None


@dataclass
class Disk:
    """Fails at one moment, and from then on where it is full.

    Args:
        kind: of operation that fails.
        error: ENOSPC lasts, EIO comes once.
        left: how many operations of the kind still work.
    """

    kind: str
    error: int
    left: int
    works: bool = True
    done: list[Operation] = field(default_factory=list)

    def fails(self, kind: str, path: Path, target: Path | None = None) -> bool:
        """Whether this operation fails; if not, it is remembered."""
        if not self.works and self.is_hit_by(kind, path):
            return True
        self.done.append(Operation(kind, path, target))
        return False

    def is_hit_by(self, kind: str, path: Path) -> bool:
        if kind != self.kind:
            return False
        self.left -= 1
        return self.left == -1 or (self.left < -1 and self.error == errno.ENOSPC)

    def check(self, kind: str, path: Path, target: Path | None = None) -> None:
        if self.fails(kind, path, target):
            raise OSError(self.error, os.strerror(self.error))

    def check_sqlite(self, kind: str, path: Path) -> None:
        if self.fails(kind, path):
            raise SQLITE[self.error]("planted")

    @property
    def was_hit(self) -> bool:
        return self.left < 0


class FaultyFile(apsw.VFSFile):
    def __init__(self, name, flags, disk):
        super().__init__(CHECKED, name, flags)
        self._disk = disk
        self._path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name or "")

    def xWrite(self, data, offset):
        if self._disk.fails("write", self._path):
            super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise SQLITE[self._disk.error]("planted")
        super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.check_sqlite("sync", self._path)  # and no more: nobody cuts the power here

    def xTruncate(self, size):
        self._disk.check_sqlite("write", self._path)
        super().xTruncate(size)


class FaultySystem(apsw.VFS):
    """SQLite's view of the disk, with the layer that checks pages below."""

    def __init__(self):
        super().__init__(FAULTY, CHECKED)
        self.disk = Disk("", 0, 0)

    def xOpen(self, name, flags):
        return FaultyFile(name, flags, self.disk)

    def xDelete(self, name, sync_folder):
        self.disk.check_sqlite("unlink", Path(name))
        super().xDelete(name, sync_folder)


def path_of(descriptor):
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def faulty_os(disk):
    """What the store's own files use of `os`."""

    def fsync(descriptor):
        disk.check("sync", path_of(descriptor))

    def pwrite(descriptor, data, offset):
        # A disk that is almost full takes a part.
        return os.pwrite(descriptor, data[:5] if disk.fails("write", path_of(descriptor)) else data, offset)

    def open_(path, flags, mode=0o777):
        if flags & os.O_CREAT:
            disk.check("write", Path(path))
        return os.open(path, flags, mode)

    names = {name: getattr(os, name) for name in ("O_RDONLY", "O_WRONLY", "O_CREAT", "close", "strerror")}
    return SimpleNamespace(**names, fsync=fsync, pwrite=pwrite, open=open_)


def put_below(disk, system, monkeypatch):
    """Put a disk below the store's own files and below SQLite."""

    def write(self, data):
        if disk.fails("write", Path(self._file.name)):
            self._file.write(bytes(data)[: len(data) // 2])
            raise OSError(disk.error, os.strerror(disk.error))
        return WRITE(self, data)

    def rename(self, target):
        disk.check("rename", self, Path(target))
        RENAME(self, target)

    def rmtree(folder, *, ignore_errors):
        if not disk.fails("unlink", Path(folder)):
            shutil.rmtree(folder, ignore_errors=ignore_errors)

    system.disk = disk
    monkeypatch.setattr(files, "os", faulty_os(disk))
    monkeypatch.setattr(receipt, "os", faulty_os(disk))
    monkeypatch.setattr(files, "shutil", SimpleNamespace(rmtree=rmtree))
    monkeypatch.setattr(files._Hashing, "write", write)
    monkeypatch.setattr(Path, "replace", rename)
