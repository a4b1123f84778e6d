"""Durable files: written, synced with fsync, and then renamed atomically."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol, TypeAlias


class Sink(Protocol):
    """A binary file open for writing."""

    def write(self, data: bytes, /) -> int:
        """Write all of the bytes."""
        ...


BLOCK = 16 << 20  # bytes hashed as one block
READ_SIZE = 1 << 20  # bytes

Write: TypeAlias = Callable[[Sink], object]
"""Writes the content of one file."""


class _Hashing:
    """A file whose content is hashed while it is written, as by `digest_of`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._blocks = b""
        self._block = hashlib.sha256()
        self._room = BLOCK

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            head, rest = rest[: self._room], rest[self._room :]
            self._block.update(head)
            self._room -= len(head)
            if not self._room:
                self._blocks += self._block.digest()
                self._block, self._room = hashlib.sha256(), BLOCK
        return self._file.write(data)

    def digest(self) -> str:
        last = self._block.digest() if self._room < BLOCK else b""
        return hashlib.sha256(self._blocks + last).hexdigest()


def write_synced(path: Path, write: Write) -> str:
    """Write a file and fsync it; returns its `digest_of`."""
    with path.open("wb") as file:
        hashing = _Hashing(file)
        write(hashing)
        file.flush()
        os.fsync(file.fileno())
    return hashing.digest()


def replace(path: Path, data: bytes) -> None:
    """Replace the content of a file atomically: after a crash it holds all of the old or all of the new."""
    fresh = path.with_name(f"{path.name}.tmp")
    write_synced(fresh, lambda sink: sink.write(data))
    fresh.replace(path)
    sync(path.parent)


def rename(path: Path, name: str) -> None:
    """Rename a complete folder atomically and durably."""
    path.replace(path.with_name(name))
    sync(path.parent)


def sync(path: Path) -> None:
    """Call fsync on a file, or on a folder for the names in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove an obsolete folder; what cannot be removed is left for the next attempt."""
    shutil.rmtree(folder, ignore_errors=True)


def digest_of(path: Path) -> str:
    """The SHA-256 of the SHA-256 digests of all blocks of a file, so that blocks can be hashed in parallel."""

    def block(start: int) -> bytes:
        digest, left = hashlib.sha256(), BLOCK
        with path.open("rb") as file:
            file.seek(start)
            while left and (data := file.read(min(READ_SIZE, left))):
                digest.update(data)
                left -= len(data)
        return digest.digest()

    starts = range(0, path.stat().st_size, BLOCK)
    if len(starts) < 2:
        return hashlib.sha256(b"".join(map(block, starts))).hexdigest()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return hashlib.sha256(b"".join(pool.map(block, starts))).hexdigest()
