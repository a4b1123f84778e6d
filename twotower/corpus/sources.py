"""What the vector of an item was made from, as a digest: an item that is made from the same keeps its vector.

A digest has two halves, of the words and of the photo's content; a photo's path and time of change are no part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from twotower.corpus.item_text import ItemText
from twotower.types import Item

HALF = 16  # bytes


def sources_of(items: Sequence[Item], text_of: ItemText) -> list[bytes]:
    """The digests of items, as they are to be encoded.

    Args:
        items: n items; the files of their photos are read.
        text_of: adds searchable attributes to the description.
    """
    return [_words_digest(text_of.extended(item)) + _photo_digest(item.image) for item in items]


def reworded(item: Item, text_of: ItemText, source: bytes) -> bytes:
    """The digest of an item whose photo is the one that `source` was made from."""
    return _words_digest(text_of.extended(item)) + source[HALF:]


def _words_digest(item: Item) -> bytes:
    title = item.title.encode()
    parts = len(title).to_bytes(8, "little"), title, item.text.encode()
    return hashlib.blake2b(b"".join(parts), digest_size=HALF).digest()


def _photo_digest(image: str | Path | None) -> bytes:
    """Of the content of a file; of the path where there is no such file, which the encoder will tell or not need."""
    digest = hashlib.blake2b(digest_size=HALF)
    if image is None:
        return bytes(HALF)
    try:
        if not Path(image).is_file():  # a pipe would wait for ever
            raise OSError
        with Path(image).open("rb") as file:
            return hashlib.file_digest(file, lambda: digest).digest()
    except (OSError, ValueError):
        return hashlib.blake2b(
            f"{image}".encode(errors="surrogatepass"), digest_size=HALF, person=b"path"
        ).digest()
