"""JPEG files to encode: drawn ones of a known size, or those of a data set."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from twotower.demo.photos import TONES, draw_photo
from twotower.demo.silhouettes import SILHOUETTES
from twotower.types import Item

SIZES = (224, 1000)
PATTERNS = ("plain", "striped", "dotted", "checked")
_DRAWN = 250  # larger photos are drawn at this size and enlarged, which is much quicker
_ORIENTATION = 0x0112  # EXIF


def photo_sets(
    items: Iterable[Item], folder: Path, count: int, rng: np.random.Generator
) -> dict[str, list[Path]]:
    """At most `count` photos of a corpus, under the name "data"; if it has none, drawn ones of two sizes."""
    files = plain_files(items)
    if files:
        chosen = rng.choice(len(files), min(count, len(files)), replace=False)
        return {"data": [files[place] for place in chosen]}
    return {f"{size}x{size}": draw_files(folder, count, size, rng) for size in SIZES}


def draw_files(folder: Path, count: int, size: int, rng: np.random.Generator) -> list[Path]:
    """Draw product photos with a little sensor noise: smooth drawings would decode too fast.

    `size` is the width and height, in pixels; the folder exists.
    """
    files = []
    for number in range(count):
        looks = (rng.choice(list(SILHOUETTES)), rng.choice(list(TONES)), rng.choice(PATTERNS))
        photo = draw_photo(*looks, rng, min(size, _DRAWN))
        pixels = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float32)
        noisy = pixels + rng.normal(scale=4, size=pixels.shape).astype(np.float32)
        files.append(folder / f"{size}-{number}.jpg")
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(files[-1], quality=90)
    return files


def plain_files(items: Iterable[Item]) -> list[Path]:
    """The different JPEG photos of a corpus that every reader sees alike: in colour, and stored upright."""
    paths = dict.fromkeys(Path(item.image) for item in items if item.image is not None)
    return [path for path in paths if path.suffix.lower() in (".jpg", ".jpeg") and _is_plain(path)]


def _is_plain(path: Path) -> bool:
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            return image.mode == "RGB" and image.getexif().get(_ORIENTATION, 1) == 1
    except OSError:
        return False
