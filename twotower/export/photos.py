"""The photos of exported items: copied beside the catalogue, or left where they are."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from twotower.corpus.photo_content import photo_digest


class Photos:
    """The paths of photos as a catalogue has them.

    Args:
        home: the catalogue's folder, which paths are relative to.
        copies: the folder for copies of photos from other folders; None keeps their absolute paths.
        unfinished: where copies are collected until all are there.

    Attributes:
        missing: how many photos could not be copied.
    """

    def __init__(self, home: Path, copies: Path | None, unfinished: Path) -> None:
        self.missing = 0
        self._home = home
        self._copies = copies
        self._unfinished = unfinished

    def exported(self, image: str | Path | None) -> str | Path | None:
        """The path of a photo to write in the catalogue: relative if the photo is inside its folder, or copied."""
        if image is None or "://" in str(image):
            return image
        path = Path(image)
        if path.resolve().is_relative_to(self._home.resolve()):
            path = Path(os.path.relpath(path, self._home))
        elif self._copies is not None:
            path = self._copied(path, self._copies) or path
        return path if isinstance(image, Path) else str(path)

    def _copied(self, photo: Path, folder: Path) -> Path | None:
        """Copy a photo under a name derived from its content; None if it cannot be read."""
        digest = photo_digest(photo)
        if digest is None:
            self.missing += 1
            return None
        name = f"{digest.hex()[:32]}{photo.suffix.lower()}"
        target = self._unfinished / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(photo, target)
        return Path(folder.name) / name
