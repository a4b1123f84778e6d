"""Derived files in numbered generations, each complete and checked, and one name that says which is current.

    CURRENT                     generation name and the digest of its manifest (see `files.digest_of`)
    generation-000001/
        manifest.json           what the files were derived from, and the digest of each
        ...

Everything here can be made again from the item store: a generation that is missing or damaged costs time, not data.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.errors import StoreError
from twotower.store import files
from twotower.store.files import Write

FORMAT = 4
CURRENT = "CURRENT"
MANIFEST = "manifest.json"
NAME = re.compile(r"generation-(\d{6,})")
POINTER = re.compile(rb"(generation-[0-9]{6,}) ([0-9a-f]{64})\n")
FILE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")

DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)  # what reading a damaged file may raise

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """A complete set of derived files whose checksums were right.

    Args:
        folder: where they are.
        about: what `Generations.write` was told.
    """

    folder: Path
    about: Mapping[str, Any]


class Generations:
    """The generations of one store folder.

    Args:
        folder: the store.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, contents: Mapping[str, Write], about: Mapping[str, Any]) -> None:
        """Write a generation and make it the current one; the former serves until then.

        Args:
            contents: what writes each file, by name.
            about: plain JSON values to find again in `Generation.about`.

        Raises:
            StoreError: it could not be written; the former generation is still current.
        """
        try:
            self._write(contents, about)
        except (OSError, RuntimeError) as error:  # FAISS reports a full disk as a RuntimeError
            raise StoreError(
                f"store '{self._folder}' could not write its index ({error}); no data is lost, free some space"
            ) from error

    def _write(self, contents: Mapping[str, Write], about: Mapping[str, Any]) -> None:
        name = f"generation-{self._newest() + 1:06d}"
        growing = self._folder / f"{name}.tmp"
        files.remove_tree(growing)
        growing.mkdir()
        digests = {file: files.write_synced(growing / file, write) for file, write in contents.items()}
        manifest = json.dumps({"format": FORMAT, "files": digests, "about": about}, indent=2).encode()
        digest = files.write_synced(growing / MANIFEST, lambda sink: sink.write(manifest))
        files.sync(growing)
        files.rename(growing, name)
        files.replace(self._folder / CURRENT, f"{name} {digest}\n".encode())
        for path in self._folder.iterdir():
            if NAME.match(path.name) and path.name != name:
                files.remove_tree(path)

    def read(self) -> Generation | None:
        """The current generation, after checking every file; None, and a logged warning, if one is damaged."""
        try:
            return self._checked()
        except DAMAGE as error:
            logger.warning("store '%s': derived files are damaged and made again (%s)", self._folder, error)
            return None

    def problem(self) -> str | None:
        """What is wrong with the current generation, in one sentence; None if nothing is."""
        try:
            self._checked()
        except DAMAGE as error:
            return f"derived files are damaged and will be made again ({error})"
        return None

    def _checked(self) -> Generation | None:
        """The current generation, if there is one; a newer one if that one was removed while it was read."""
        current = self._folder / CURRENT
        while current.exists():
            pointer = current.read_bytes()
            try:
                return self._named(pointer)
            except DAMAGE:
                if current.exists() and current.read_bytes() == pointer:
                    raise
        return None

    def _named(self, content: bytes) -> Generation:
        pointer = POINTER.fullmatch(content)
        if pointer is None:
            raise ValueError(f"file '{self._folder / CURRENT}' is not what was written")
        folder = self._folder / pointer[1].decode()
        if files.digest_of(folder / MANIFEST) != pointer[2].decode():
            raise ValueError(f"file '{folder / MANIFEST}' is not what was written")
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            raise ValueError(f"it has format {manifest['format']}, not {FORMAT}")
        for name, digest in manifest["files"].items():
            if not FILE_NAME.fullmatch(name) or files.digest_of(folder / name) != digest:
                raise ValueError(f"file '{folder / name}' is not what was written")
        return Generation(folder, manifest["about"])

    def _newest(self) -> int:
        numbers = [int(match[1]) for path in self._folder.iterdir() if (match := NAME.match(path.name))]
        return max(numbers, default=0)
