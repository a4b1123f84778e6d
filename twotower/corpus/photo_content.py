"""Photos by content: a file that was replaced under the same name is another photo."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from twotower.types import Item


def photo_digests(items: Iterable[Item]) -> dict[str, bytes]:
    """The digests of the photos of items, by item id; take them before encoding, so that a later change is noticed.

    Args:
        items: with distinct ids.
    """
    digests = ((item.id, photo_digest(item.image)) for item in items)
    return {item_id: digest for item_id, digest in digests if digest is not None}


def photo_digest(photo: str | Path | None) -> bytes | None:
    """The SHA-256 of a photo's content; None if there is no photo or it cannot be read.

    The file is read each time: its size and modification time do not prove that its content is the same.
    """
    if not photo:
        return None
    try:
        if not Path(photo).is_file():  # a pipe would never end
            return None
        with Path(photo).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except (OSError, ValueError):  # the encoder says what is wrong with it, if it reads photos at all
        return None
