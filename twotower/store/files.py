"""Every file that the store writes itself passes here: written, synced, and only then given its name."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> int:
        """Take all of the bytes."""
        ...


BLOCK = 16 << 20  # bytes
PIECE = 1 << 20

Write: TypeAlias = Callable[[Sink], object]
"""Writes the whole content of one file."""


class _Hashing:
    """A file that is hashed on its way, as `digest_of` does."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._blocks = b""
        self._block = hashlib.sha256()
        self._room = BLOCK

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            some, rest = rest[: self._room], rest[self._room :]
            self._block.update(some)
            self._room -= len(some)
            if not self._room:
                self._blocks += self._block.digest()
                self._block, self._room = hashlib.sha256(), BLOCK
        return self._file.write(data)

    def digest(self) -> str:
        last = self._block.digest() if self._room < BLOCK else b""
        return hashlib.sha256(self._blocks + last).hexdigest()


def write_synced(path: Path, write: Write) -> str:
    """Write a file to the disk; returns its `digest_of`."""
    with path.open("wb") as file:
        hashing = _Hashing(file)
        write(hashing)
        file.flush()
        os.fsync(file.fileno())
    return hashing.digest()


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


def digest_of(path: Path) -> str:
    """The sha256 of the sha256 of each block of a file: every processor can take blocks of its own."""

    def block(start: int) -> bytes:
        digest, left = hashlib.sha256(), BLOCK
        with path.open("rb") as file:
            file.seek(start)
            while left and (some := file.read(min(PIECE, left))):
                digest.update(some)
                left -= len(some)
        return digest.digest()

    starts = range(0, path.stat().st_size, BLOCK)
    if len(starts) < 2:
        return hashlib.sha256(b"".join(map(block, starts))).hexdigest()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return hashlib.sha256(b"".join(pool.map(block, starts))).hexdigest()
