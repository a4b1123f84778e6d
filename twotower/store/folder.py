"""A store folder: numbered generations, each complete and checked, and one name that says which is current.

    CURRENT                     generation name and the sha256 of its manifest
    generation-000001/
        manifest.json           format, settings, and the sha256 of every other file
        items.jsonl  events.jsonl  vectors.npy

A generation is written under another name, synced and renamed; then CURRENT is replaced in one step. Whatever
happens in between, CURRENT names a complete generation. Nothing here is ever unpickled or executed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from twotower.errors import StoreDamagedError, StoreError, StoreVersionError
from twotower.store.records import event_from_json, event_to_json, item_from_json, item_to_json
from twotower.types import Event, Item, Vectors

FORMAT = 1
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
ITEMS, EVENTS, VECTORS = "items.jsonl", "events.jsonl", "vectors.npy"
GENERATION = re.compile(r"generation-(\d{6,})")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a store holds.

    Args:
        settings: plain JSON values: how the retriever was put together.
        items: n items.
        vectors: float32 of shape (n, dim), the items' vectors.
        events: the recorded behaviour.
    """

    settings: Mapping[str, Any]
    items: tuple[Item, ...]
    vectors: Vectors
    events: tuple[Event, ...]


def write_store(folder: Path, contents: Contents) -> None:
    """Write a new generation and make it the current one; the former stays intact until then.

    Args:
        folder: made if missing.
        contents: what to keep.

    Raises:
        StoreError: the folder holds something else than a store, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / CURRENT).exists() and any(
            not GENERATION.match(path.name) for path in folder.iterdir()
        ):
            raise StoreError(f"folder '{folder}' holds other files and no store: pass an empty or new folder")
        name = f"generation-{_newest(folder) + 1:06d}"
        digest = _write_generation(folder / f"{name}.tmp", contents)
        (folder / f"{name}.tmp").rename(folder / name)
        _write_synced(folder / f"{CURRENT}.tmp", f"{name} {digest}\n".encode())
        (folder / f"{CURRENT}.tmp").replace(folder / CURRENT)
        _sync_folder(folder)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"store '{folder}' cannot be written ({error}); what it held before is intact"
        ) from error
    for path in folder.iterdir():
        if GENERATION.match(path.name) and path.name != name:
            shutil.rmtree(path, ignore_errors=True)


def read_store(folder: Path) -> Contents:
    """Read the current generation after checking every file.

    Args:
        folder: as written by `write_store`.

    Raises:
        StoreError: there is no store.
        StoreVersionError: a newer version wrote it.
        StoreDamagedError: a file is missing or not what was written.
    """
    folder = Path(folder)
    generation, digest = _current(folder)
    manifest = _manifest(generation / MANIFEST, digest)
    files = {
        name: _check(generation / name, _read(generation / name), manifest["files"][name]["sha256"])
        for name in (ITEMS, EVENTS, VECTORS)
    }
    vectors = _parsed(generation / VECTORS, lambda: _vectors_from_bytes(files[VECTORS]))
    items = _parsed(generation / ITEMS, lambda: tuple(map(item_from_json, _lines(files[ITEMS]))))
    events = _parsed(generation / EVENTS, lambda: tuple(map(event_from_json, _lines(files[EVENTS]))))
    if len(items) != len(vectors):
        raise StoreDamagedError(
            f"store '{folder}' has {len(items)} items and {len(vectors)} vectors: restore it"
        )
    return Contents(manifest["settings"], items, vectors, events)


def _manifest(path: Path, digest: str) -> Mapping[str, Any]:
    raw = _read(path)
    manifest: Mapping[str, Any] = _parsed(path, lambda: json.loads(raw))
    # A newer format is told before the checksum: it is no damage, and the remedy differs.
    version = manifest.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise StoreVersionError(
            f"store '{path.parent.parent}' has format {version}, but this version of twotower reads up to {FORMAT}: "
            "install a newer version"
        )
    _check(path, raw, digest)
    return manifest


def is_store(folder: Path) -> bool:
    """Whether a folder holds a store."""
    return (Path(folder) / CURRENT).is_file()


def _write_generation(folder: Path, contents: Contents) -> str:
    """Write all files of a generation; returns the sha256 of its manifest."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    files = {
        ITEMS: _json_lines(map(item_to_json, contents.items)),
        EVENTS: _json_lines(map(event_to_json, contents.events)),
        VECTORS: _vectors_to_bytes(contents.vectors),
    }
    for name, data in files.items():
        _write_synced(folder / name, data)
    manifest = {
        "format": FORMAT,
        "settings": contents.settings,
        "files": {name: {"sha256": _sha256(data)} for name, data in files.items()},
    }
    raw = json.dumps(manifest, ensure_ascii=False, indent=2).encode()
    _write_synced(folder / MANIFEST, raw)
    _sync_folder(folder)
    return _sha256(raw)


def _current(folder: Path) -> tuple[Path, str]:
    if not is_store(folder):
        raise StoreError(
            f"folder '{folder}' holds no store: make one with Retriever.save or `twotower index`"
        )
    words = (folder / CURRENT).read_text(encoding="utf-8", errors="replace").split()
    if len(words) != 2 or not GENERATION.fullmatch(words[0]):
        raise StoreDamagedError(f"file '{folder / CURRENT}' is damaged: restore it from a backup")
    return folder / words[0], words[1]


def _newest(folder: Path) -> int:
    numbers = [int(match[1]) for path in folder.iterdir() if (match := GENERATION.match(path.name))]
    return max(numbers, default=0)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreDamagedError(f"file '{path}' is missing or unreadable ({error}): restore it") from error


def _check(path: Path, data: bytes, sha256: str) -> bytes:
    if _sha256(data) != sha256:
        raise StoreDamagedError(f"file '{path}' is not what was written (its checksum differs): restore it")
    return data


def _parsed(path: Path, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreDamagedError(f"file '{path}' cannot be understood ({error}): restore it") from error


def _lines(data: bytes) -> Iterable[Any]:
    return (json.loads(line) for line in data.splitlines())


def _json_lines(records: Iterable[Any]) -> bytes:
    return "".join(
        json.dumps(record, ensure_ascii=True, allow_nan=False) + "\n" for record in records
    ).encode()


def _vectors_to_bytes(vectors: Vectors) -> bytes:

    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    return buffer.getvalue()


def _vectors_from_bytes(data: bytes) -> Vectors:

    vectors = np.load(io.BytesIO(data), allow_pickle=False)
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise ValueError(f"expected float32 of two dimensions, found {vectors.dtype} of {vectors.ndim}")
    return np.ascontiguousarray(vectors)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
