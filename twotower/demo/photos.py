"""Draw product photos: a silhouette in a colour and a pattern, before a studio background, in soft light.

The same arguments and the same state of the generator give the same pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from twotower.demo.shapes import Paint, Points, Shape
from twotower.demo.silhouettes import SILHOUETTES

Tone: TypeAlias = tuple[float, float, float]
"""Red, green and blue from 0 to 255."""

TONES: Mapping[str, Tone] = {
    "red": (204, 36, 44),
    "orange": (242, 128, 30),
    "yellow": (246, 208, 52),
    "green": (44, 140, 74),
    "blue": (38, 92, 192),
    "purple": (122, 62, 168),
    "pink": (244, 146, 184),
    "brown": (118, 72, 42),
    "black": (40, 40, 44),
    "white": (244, 243, 240),
}
"""The tone of every colour that `draw_photo` knows."""

_FIXED: Mapping[Paint, Tone] = {
    "light": (238, 236, 230),
    "dark": (62, 58, 58),
    "metal": (188, 190, 196),
    "wood": (190, 148, 104),
    "glass": (50, 54, 62),
    "glow": (255, 244, 214),
}
# Smaller products carry a finer pattern, so that several periods fit on them.
_FINE = frozenset({"sandals", "watch", "sunglasses", "headphones", "dress", "trousers"})
_OVERSAMPLING = 2


def draw_photo(
    category: str, colour: str, pattern: str, rng: np.random.Generator, size: int = 160
) -> Image.Image:
    """Draw one product photo.

    Args:
        category: one of `SILHOUETTES`, such as "running shoes".
        colour: one of `TONES`, such as "red".
        pattern: "plain", "striped", "dotted" or "checked".
        rng: decides form, place, light and background, never category, colour or pattern.
        size: width and height, in pixels.

    Returns:
        An RGB image.
    """
    fine = size * _OVERSAMPLING
    shapes = _placed(SILHOUETTES[category](rng), rng, fine)
    tone = np.clip(np.array(TONES[colour]) * rng.uniform(0.94, 1.04), 0, 255)
    cloth = _cloth(tone, pattern, 0.7 if category in _FINE else 1.0, rng, fine)
    product, mask = _painted(shapes, tone, cloth, fine)
    product, mask = product.reduce(_OVERSAMPLING), mask.reduce(_OVERSAMPLING)
    scene = _with_shadow(_background(rng, size), mask, rng)
    scene.paste(_lit(product, mask, rng), mask=mask)
    return scene


def _placed(shapes: list[Shape], rng: np.random.Generator, size: int) -> list[Shape]:
    """Turn, stretch, mirror and move the product a little; from -1..1 to pixels."""
    turn = np.deg2rad(rng.uniform(-6, 6))
    stretch = rng.uniform(0.92, 1.06, size=2) * rng.uniform(0.84, 1.0) * (rng.choice((-1, 1)), 1)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    move = rng.uniform(-0.06, 0.06, size=2)
    return [Shape((((s.outline * stretch) @ rotation.T + move) * 0.5 + 0.5) * size, s.paint) for s in shapes]


def _cloth(
    tone: NDArray[np.float64], pattern: str, scale: float, rng: np.random.Generator, size: int
) -> Image.Image:
    """A full image of the colour with its pattern, cut to shape later."""
    cloth = Image.new("RGB", (size, size), _rgb(tone))
    # Drawn for every pattern, so that the rest of the photo does not depend on the pattern.
    angle, period, phase = rng.choice((0.0, 45.0, 90.0)), rng.uniform(0.13, 0.17) * scale, rng.uniform(0, 1)
    if pattern == "plain":
        return cloth
    pale = tone.min() > 200
    second = tone * 0.55 if pale else np.full(3, 246.0)
    step = np.linspace(0, 1 / period, size, dtype=np.float32)
    x, y = (step + np.float32(phase))[None, :], step[:, None]
    if pattern == "striped":
        rise = np.deg2rad(angle)
        weave = ((x * np.float32(np.cos(rise)) + y * np.float32(np.sin(rise))) % 1 < 0.38) * np.uint8(255)
    elif pattern == "dotted":
        row = np.floor(y)
        weave = (((x + row / 2) % 1 - 0.5) ** 2 + (y % 1 - 0.5) ** 2 < 0.075) * np.uint8(255)
    elif pattern == "checked":
        weave = (x % 1 < 0.5) * np.uint8(115) + (y % 1 < 0.5) * np.uint8(115)
    else:
        raise ValueError(f"pattern must be plain, striped, dotted or checked, got '{pattern}'")
    cloth.paste(_rgb(second), mask=Image.fromarray(weave))
    return cloth


def _painted(
    shapes: list[Shape], tone: NDArray[np.float64], cloth: Image.Image, size: int
) -> tuple[Image.Image, Image.Image]:
    """The product, and the mask of its pixels."""
    product, mask = Image.new("RGB", (size, size)), Image.new("L", (size, size))
    paint = {name: np.array(fixed) for name, fixed in _FIXED.items()} | {"trim": tone * 0.74, "body": tone}
    draw, cut = ImageDraw.Draw(product), ImageDraw.Draw(mask)
    for shape in shapes:
        outline = _corners(shape.outline)
        cut.polygon(outline, fill=255)
        if shape.paint == "body":
            _paste_cut(product, cloth, shape.outline)
        else:
            draw.polygon(outline, fill=_rgb(paint[shape.paint]))
        draw.line([*outline, outline[0]], fill=_rgb(paint[shape.paint] * 0.72), width=max(1, size // 160))
    return product, mask


def _paste_cut(product: Image.Image, cloth: Image.Image, outline: Points) -> None:
    """Paste the part of the cloth within the outline."""
    corner = np.maximum(np.floor(outline.min(axis=0)), 0).astype(int)
    width, height = np.maximum(np.ceil(outline.max(axis=0)).astype(int) + 1 - corner, 1)
    place = (int(corner[0]), int(corner[1]), int(corner[0] + width), int(corner[1] + height))
    stencil = Image.new("L", (int(width), int(height)))
    ImageDraw.Draw(stencil).polygon(_corners(outline - corner), fill=255)
    product.paste(cloth.crop(place), place[:2], mask=stencil)


def _lit(product: Image.Image, mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light from one side and darker edges, so that the product looks round."""
    size = product.width
    left, right = rng.permutation((rng.uniform(0.98, 1.1), rng.uniform(0.88, 1.0)))
    side = np.linspace(left, right, size, dtype=np.float32)[None, :]
    fall = np.linspace(1.04, 0.94, size, dtype=np.float32)[:, None]
    depth = np.asarray(mask.filter(ImageFilter.GaussianBlur(size * 0.035)), dtype=np.float32) / 255
    light = side * fall * (0.74 + 0.28 * depth)
    return Image.fromarray(np.clip(np.asarray(product) * light[..., None], 0, 255).astype(np.uint8))


def _background(rng: np.random.Generator, size: int) -> Image.Image:
    """White studio paper, a plain pale tone, or a soft gradient of one."""
    kind = rng.choice(("white", "tone", "gradient", "spot"), p=(0.4, 0.2, 0.2, 0.2))
    pale = rng.uniform(205, 250, size=3) * rng.uniform(0.9, 1.0)
    down = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    share: NDArray[np.floating[Any]] = down  # of the tone at the bottom
    if kind == "white":
        share, start, end = down**3, np.full(3, 255.0), np.full(3, rng.uniform(240, 255))
    elif kind == "tone":
        start, end = pale, pale * 0.97
    elif kind == "gradient":
        start, end = np.minimum(pale * 1.12, 255), pale * 0.86
    else:
        across = np.linspace(-1, 1, size, dtype=np.float32)
        share = np.minimum(across**2 + (2 * down - 0.9) ** 2, 1.6) / np.float32(1.6)
        start, end = np.minimum(pale * 1.15, 255), pale * 0.88
    mixed = start + (end - start) * np.broadcast_to(share, (size, size))[..., None]
    return Image.fromarray(mixed.astype(np.uint8))


def _with_shadow(scene: Image.Image, mask: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A soft shadow below the product and a closer one around it."""
    size = scene.width
    aside = round(size * rng.uniform(-0.03, 0.03))
    far = ImageChops.offset(mask, aside, round(size * 0.035)).filter(ImageFilter.GaussianBlur(size * 0.03))
    near = ImageChops.offset(mask, 0, max(1, size // 100)).filter(ImageFilter.GaussianBlur(size * 0.008))
    shade = (0.28 * np.asarray(far, dtype=np.float32) + 0.16 * np.asarray(near, dtype=np.float32)) / 255
    return Image.fromarray((np.asarray(scene) * (1 - shade[..., None])).astype(np.uint8))


def _corners(outline: Points) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in outline]


def _rgb(tone: NDArray[np.float64]) -> tuple[int, int, int]:
    red, green, blue = (int(c) for c in np.clip(tone, 0, 255))
    return red, green, blue
