"""Every file that the store writes itself passes here: written, synced, and only then given its name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> int:
        """Take all of the bytes."""
        ...


Write: TypeAlias = Callable[[Sink], object]
"""Writes the whole content of one file."""


class _Hashing:
    """A file that is hashed on its way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return self._file.write(data)


def write_synced(path: Path, write: Write) -> str:
    """Write a file to the disk; returns its sha256."""
    with path.open("wb") as file:
        hashing = _Hashing(file)
        write(hashing)
        file.flush()
        os.fsync(file.fileno())
    return hashing.sha256.hexdigest()


def replace(path: Path, data: bytes) -> None:
    """Give a file new content in one step: whatever happens, it has the old or the new, whole."""
    fresh = path.with_name(f"{path.name}.tmp")
    write_synced(fresh, lambda sink: sink.write(data))
    fresh.replace(path)
    sync(path.parent)


def rename(path: Path, name: str) -> None:
    """Give a complete folder its name, and make that last."""
    path.replace(path.with_name(name))
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, last."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder that nobody needs; what cannot be removed stays for the next time."""
    shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
