"""Hashes of a model's files, by which what was derived from its weights knows them again."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weight_hashes(folder: Path) -> dict[str, str]:
    """The hash of each weights file: a large model has several, and a separate head has a folder of its own."""
    paths = sorted([*folder.glob("*.safetensors"), *folder.glob("[0-9]*_*/*.safetensors")])
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
