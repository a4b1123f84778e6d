"""Derived files in numbered generations, each complete and verified, and a pointer to the current one.

    CURRENT                     name of the generation and the digest of its manifest (see `files.digest_of`)
    generation-000001/
        manifest.json           what the files were derived from, and the digest of each
        ...

Everything here can be rebuilt from the item store: a missing or damaged generation costs time, not data.
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

DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)  # raised by reading a damaged file

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """A complete set of derived files with verified checksums.

    Args:
        folder: of the files.
        about: as passed to `Generations.write`.
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
        """Write a generation and make it the current one; until then the previous one stays in use.

        Args:
            contents: a writer for each file, by name.
            about: plain JSON values, kept as `Generation.about`.

        Raises:
            StoreError: it could not be written; the previous generation is still current.
        """
        try:
            self._write(contents, about)
        except (OSError, RuntimeError) as error:  # FAISS reports a full disk as a RuntimeError
            raise StoreError(
                f"store '{self._folder}' could not write its index ({error}); no data is lost: free some space"
            ) from error

    def clear(self) -> None:
        """Remove all generations, which nobody needs any more.

        Raises:
            StoreError: they cannot be removed.
        """
        current = self._folder / CURRENT
        try:
            if current.exists():
                current.unlink()
                files.sync(self._folder)
            for path in self._folder.iterdir():
                if NAME.match(path.name):
                    files.remove_tree(path)
        except OSError as error:
            raise StoreError(f"store '{self._folder}' could not remove its old index ({error})") from error

    def _write(self, contents: Mapping[str, Write], about: Mapping[str, Any]) -> None:
        name = f"generation-{self._newest() + 1:06d}"
        unfinished = self._folder / f"{name}.tmp"
        files.remove_tree(unfinished)
        unfinished.mkdir()
        digests = {file: files.write_synced(unfinished / file, write) for file, write in contents.items()}
        manifest = json.dumps({"format": FORMAT, "files": digests, "about": about}, indent=2).encode()
        digest = files.write_synced(unfinished / MANIFEST, lambda sink: sink.write(manifest))
        files.sync(unfinished)
        files.rename(unfinished, name)
        files.replace(self._folder / CURRENT, f"{name} {digest}\n".encode())
        for path in self._folder.iterdir():
            if NAME.match(path.name) and path.name != name:
                files.remove_tree(path)

    def read(self) -> Generation | None:
        """The current generation, with every file verified; None, with a logged warning, if one is damaged."""
        try:
            return self._checked()
        except DAMAGE as error:
            logger.warning(
                "store '%s': derived files are damaged and will be rebuilt (%s)", self._folder, error
            )
            return None

    def problem(self) -> str | None:
        """The problem of the current generation, in one sentence; None if there is none."""
        try:
            self._checked()
        except DAMAGE as error:
            return f"derived files are damaged and will be rebuilt ({error})"
        return None

    def _checked(self) -> Generation | None:
        """The current generation, if there is one; its successor if it was removed while it was read."""
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
            raise ValueError(f"file '{self._folder / CURRENT}' is damaged")
        folder = self._folder / pointer[1].decode()
        if files.digest_of(folder / MANIFEST) != pointer[2].decode():
            raise ValueError(f"file '{folder / MANIFEST}' is damaged")
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            raise ValueError(f"it has format {manifest['format']}, not {FORMAT}")
        for name, digest in manifest["files"].items():
            if not FILE_NAME.fullmatch(name) or files.digest_of(folder / name) != digest:
                raise ValueError(f"file '{folder / name}' is damaged")
        return Generation(folder, manifest["about"])

    def _newest(self) -> int:
        numbers = [int(match[1]) for path in self._folder.iterdir() if (match := NAME.match(path.name))]
        return max(numbers, default=0)
