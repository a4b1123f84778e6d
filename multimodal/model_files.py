"""Models by content: a copy elsewhere is the same model, a retrained one is another."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeAlias

from multimodal.errors import StaleModelError
from multimodal.model_settings import READERS, settings_of

READ_SIZE = 1 << 20  # bytes
MAX_HEADER = 100_000_000  # bytes, as in safetensors
HEADER_LENGTH = 8  # bytes in which a safetensors file says how long its header is
# Buffers that some releases of transformers write and others do not.
NO_WEIGHTS = ("position_ids",)
VOCABULARIES = ("vocab.txt", "vocab.json", "merges.txt", "*.model")  # of models without a tokenizer.json
MODULES = "[0-9]*_*"  # folders of a sentence-transformers model

Version: TypeAlias = tuple[int, int, int]
"""Size, time of change and inode of a file: while they stay, its content is not read again."""


class ModelFiles:
    """The files of a model as they are now; make it just before the model is loaded.

    Args:
        location: the model's folder, or its file of weights.
        name: what else decides its vectors, such as the architecture that the weights belong to.
    """

    def __init__(self, location: str | Path, name: str = "") -> None:
        self._location = Path(location)
        self._name = name
        self._versions = {path: _version(path) for path in _files(self._location)}

    def digest(self) -> str:
        """A hash of weights, vocabulary, prompts and settings, which is the same wherever the model lies.

        Raises:
            StaleModelError: the files changed after this object was made.
        """
        if {path: _version(path) for path in _files(self._location)} != self._versions:
            raise StaleModelError(
                f"the model in '{self._location}' was replaced after it was loaded: load it again"
            )
        parts: dict[str, str] = {"": self._name}
        for path, version in self._versions.items():
            folder = path.parent.relative_to(self._location).as_posix() if path != self._location else "."
            parts |= {f"{folder}/{part}": digest for part, digest in _parts(path, version).items()}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _files(location: Path) -> Iterator[Path]:
    """The files that decide the vectors."""
    if location.is_file():
        yield location
        return
    folders = [location, *sorted(path for path in location.glob(MODULES) if path.is_dir())]
    for folder in folders:
        weights = sorted(folder.glob("*.safetensors"))
        yield from weights or sorted({*folder.glob("*model*.bin"), *folder.glob("*model*.pt")})
        if not (folder / "tokenizer.json").is_file():
            yield from sorted(path for pattern in VOCABULARIES for path in folder.glob(pattern))
        yield from (folder / name for name in READERS if (folder / name).is_file())


def _version(path: Path) -> Version:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


@cache
def _parts(path: Path, version: Version) -> dict[str, str]:
    """The digests of the parts of one file, by name; a part that has none, such as an empty prompt, is left out."""
    if path.suffix == ".safetensors":
        return _tensors(path)
    if path.name in READERS:
        return _settings(path)
    return {
        path.name if path.suffix in (".txt", ".json", ".model") else "weights": _range(path, 0, version[0])
    }


def _settings(path: Path) -> dict[str, str]:
    try:
        found = settings_of(path, json.loads(path.read_bytes()))
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
    ):  # the model's library says what is wrong with it
        return {path.name: _range(path, 0, path.stat().st_size)}
    digests = {name: json.dumps(value, sort_keys=True).encode() for name, value in found.items()}
    return {name: hashlib.sha256(data).hexdigest() for name, data in digests.items()}


def _tensors(path: Path) -> dict[str, str]:
    """The digest of each tensor of a safetensors file, whatever their order and the rest of the header."""
    try:
        with path.open("rb") as file:
            start = int.from_bytes(file.read(HEADER_LENGTH), "little")
            header = json.loads(file.read(min(start, MAX_HEADER)))
        start += HEADER_LENGTH
        tensors = {
            name: about for name, about in header.items() if not name.endswith(("__metadata__", *NO_WEIGHTS))
        }
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            ranges = {
                name: [start + place for place in about["data_offsets"]] for name, about in tensors.items()
            }
            digests = dict(
                zip(ranges, pool.map(lambda ends: _range(path, *ends), ranges.values()), strict=True)
            )
        return {name: f"{about['dtype']} {about['shape']} {digests[name]}" for name, about in tensors.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {path.name: _range(path, 0, path.stat().st_size)}


def _range(path: Path, start: int, end: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (data := file.read(min(READ_SIZE, end - start))):
            digest.update(data)
            start += len(data)
    return digest.hexdigest()
