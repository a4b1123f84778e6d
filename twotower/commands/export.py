"""`twotower export`: write a store's items as a catalogue that `twotower index` reads."""

from __future__ import annotations

import json
import os
import shutil
from argparse import Namespace
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from twotower.commands.command import Commands, add_command, add_store
from twotower.commands.opened import opened_corpus
from twotower.corpus.photo_content import photo_digest
from twotower.errors import StoreError
from twotower.store.item_store import StoredItem
from twotower.store.records import item_to_row
from twotower.types import Vectors

Photos: TypeAlias = Literal["copy", "keep"]


def add_to(commands: Commands) -> None:
    """Add the command to the command line."""
    export = add_command(
        commands,
        "export",
        "write a store's items as a catalogue",
        "twotower export backup.jsonl --store store/ --vectors backup.safetensors",
        run,
    )
    export.add_argument("catalogue", type=Path, metavar="CATALOGUE", help="a new .jsonl file")
    add_store(export)
    export.add_argument(
        "--photos",
        choices=("copy", "keep"),
        default="copy",
        help="copy photos from other folders into one beside the catalogue, or keep their paths, which "
        "`twotower index --photos-anywhere` reads (default: copy)",
    )
    export.add_argument(
        "--vectors", type=Path, metavar="FILE", help="a new .safetensors file for the vectors"
    )


def run(given: Namespace) -> None:
    """Run the command."""
    written, missing = export(given.store, given.catalogue, given.vectors, given.photos)
    print(f"{written:,} items written to {given.catalogue}")
    if missing:
        print(f"{missing:,} photos could not be copied: their paths were kept")


def export(
    folder: Path, catalogue: Path, vectors: Path | None = None, photos: Photos = "copy"
) -> tuple[int, int]:
    """Write a store's items as a catalogue that `twotower index` reads.

    Args:
        folder: the store.
        catalogue: a new .jsonl file.
        vectors: a new .safetensors file for the items' vectors, in the same order; None writes none.
        photos: what becomes of photos that are not in the catalogue's folder: "copy" copies them into a new folder
            beside the catalogue, named by their content; "keep" writes their absolute paths.

    Returns:
        The number of items written, and the number of photos that could not be copied, whose paths were kept.

    Raises:
        StoreError: the catalogue is not named .jsonl, or a file already exists or cannot be written.
    """
    if catalogue.suffix != ".jsonl":
        raise StoreError(f"the catalogue must be a .jsonl file, got '{catalogue}'")
    copies = PhotoCopies(catalogue.with_suffix(".photos")) if photos == "copy" else None
    targets = [
        catalogue,
        *([] if vectors is None else [vectors]),
        *([] if copies is None else [copies.folder]),
    ]
    if taken := [path for path in targets if path.exists()]:
        raise StoreError(f"'{taken[0]}' already exists: pass another name")
    parts = [_part(path) for path in targets]
    try:
        with ExitStack() as cleaning:
            cleaning.callback(_remove, parts)
            with opened_corpus(folder) as corpus, corpus.rows() as (_, rows):
                kept: list[Vectors] | None = None if vectors is None else []
                written = _write_rows(rows, parts[0], catalogue.absolute().parent, copies, kept)
            if kept is not None:
                _write_vectors(kept, parts[1])
            for part, path in reversed(list(zip(parts, targets, strict=True))):  # the catalogue last
                if part.exists():
                    part.replace(path)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"store '{folder}' cannot be exported to '{catalogue}' ({error})") from error
    return written, 0 if copies is None else copies.missing


class PhotoCopies:
    """Copies photos under names derived from their content, so that equal photos are copied once.

    Args:
        folder: their destination; until all are copied they are collected beside it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.missing = 0

    def add(self, photo: Path) -> Path | None:
        """Copy a photo; returns its path relative to the catalogue, None if it cannot be read."""
        digest = photo_digest(photo)
        if digest is None:
            self.missing += 1
            return None
        name = f"{digest.hex()[:32]}{photo.suffix.lower()}"
        target = _part(self.folder) / name
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(photo, target)
        return Path(self.folder.name) / name


def _write_rows(
    rows: Iterable[StoredItem],
    file: Path,
    home: Path,
    copies: PhotoCopies | None,
    vectors: list[Vectors] | None,
) -> int:
    """Write one line per item, and collect the vectors if they are wanted; returns the number of items."""
    written = 0
    with file.open("w", encoding="utf-8") as lines:
        for stored in rows:
            row = item_to_row(stored.item, _exported_image(stored.item.image, home, copies))
            lines.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            written += 1
            if vectors is not None:
                vectors.append(stored.vector)
    return written


def _exported_image(image: str | Path | None, home: Path, copies: PhotoCopies | None) -> str | Path | None:
    """The path of a photo to write in the catalogue: relative to `home` if the photo is inside it."""
    if image is None or "://" in str(image):
        return image
    path = Path(image)
    if path.resolve().is_relative_to(home.resolve()):
        path = Path(os.path.relpath(path, home))
    elif copies is not None:
        path = copies.add(path) or path
    return path if isinstance(image, Path) else str(path)


def _write_vectors(vectors: list[Vectors], file: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"vectors": np.stack(vectors) if vectors else np.zeros((0, 0), dtype=np.float32)}, file)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
