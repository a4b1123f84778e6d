"""The outline of every kind of product, as painted polygons from back to front.

Coordinates run from -1 to 1 with y pointing down, as in an image; a product fills about -0.8 to 0.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points: TypeAlias = NDArray[np.float64]
Paint: TypeAlias = Literal["body", "trim", "light", "dark", "metal", "wood", "glass", "glow"]


class Shape(NamedTuple):
    """One painted polygon; "body" takes colour and pattern, "trim" a darker tone of the colour."""

    outline: Points
    paint: Paint


def smooth(points: ArrayLike, closed: bool = True, steps: int = 8) -> Points:
    """A Catmull-Rom curve through the points, shape (n * steps, 2)."""
    knots = np.asarray(points, dtype=np.float64)
    if not closed:
        knots = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
        p0, p1, p2, p3 = knots[:-3], knots[1:-2], knots[2:-1], knots[3:]
    else:
        p0, p1, p2, p3 = np.roll(knots, 1, 0), knots, np.roll(knots, -1, 0), np.roll(knots, -2, 0)
    t = np.linspace(0.0, 1.0, steps, endpoint=not closed)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (p0, p1, p2, p3))
    curve = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    return np.asarray(curve.reshape(-1, 2), dtype=np.float64)


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """An ellipse around (x, y)."""
    angle = np.linspace(0.0, 2 * np.pi, 48, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=1)


def box(left: float, top: float, right: float, bottom: float, corner: float = 0.05) -> Points:
    """A rectangle with round corners."""
    angle = np.linspace(0.0, np.pi / 2, 7)
    arc = corner * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    inner = [(right, bottom, 1, 1), (left, bottom, -1, 1), (left, top, -1, -1), (right, top, 1, -1)]
    parts = []
    for turn, (x, y, sx, sy) in enumerate(inner):
        quarter = arc if turn % 2 == 0 else arc[::-1]
        parts.append(quarter * (sx, sy) + (x - sx * corner, y - sy * corner))
    return np.vstack(parts)


def band(points: ArrayLike, width: float, curved: bool = True) -> Points:
    """A strip of the given width along a line."""
    line = smooth(points, closed=False) if curved else np.asarray(points, dtype=np.float64)
    line = line[np.r_[True, np.abs(np.diff(line, axis=0)).sum(axis=1) > 1e-9]]
    along = np.gradient(line, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across *= width / 2 / np.linalg.norm(across, axis=1, keepdims=True)
    return np.vstack([line + across, (line - across)[::-1]])


def mirrored(points: ArrayLike) -> Points:
    """A right half, from top to bottom, closed by its mirror image."""
    half = np.asarray(points, dtype=np.float64)
    return np.vstack([half, half[::-1] * (-1.0, 1.0)])


def _running_shoes(rng: np.random.Generator) -> list[Shape]:
    collar = rng.uniform(-0.32, -0.22)
    upper = smooth(
        [(-0.74, collar), (-0.55, -0.1), (-0.3, -0.12), (-0.1, -0.4), (0.08, -0.26), (0.4, 0.0), (0.7, 0.08)]
        + [(0.83, 0.24), (0.6, 0.34), (-0.2, 0.34), (-0.74, 0.34), (-0.8, 0.1)]
    )
    laces = [
        Shape(band([(x - 0.1, y + 0.04), (x + 0.07, y - 0.08)], 0.035, curved=False), "light")
        for x, y in ((0.1, -0.14), (0.21, -0.06), (0.32, 0.02))
    ]
    return [
        Shape(upper, "body"),
        Shape(
            smooth([(-0.74, collar), (-0.62, collar + 0.1), (-0.66, 0.3), (-0.78, 0.3), (-0.8, 0.1)]), "trim"
        ),
        Shape(smooth([(0.5, 0.26), (0.58, 0.08), (0.7, 0.08), (0.83, 0.24), (0.7, 0.32)]), "trim"),
        *laces,
        Shape(
            smooth([(-0.82, 0.24), (0.0, 0.3), (0.86, 0.2), (0.86, 0.38), (0.0, 0.42), (-0.84, 0.42)]),
            "light",
        ),
        Shape(band([(-0.82, 0.41), (0.0, 0.42), (0.82, 0.39)], 0.05), "dark"),
    ]


def _sandals(rng: np.random.Generator) -> list[Shape]:
    strap = rng.uniform(0.2, 0.26)
    shapes = []
    for side, x in ((-1, -0.36), (1, 0.36)):
        sole = smooth(
            [(0.0, -0.8), (0.24 * side, -0.66), (0.28 * side, -0.3), (0.2 * side, 0.2), (0.22 * side, 0.6)]
            + [
                (0.0, 0.8),
                (-0.2 * side, 0.6),
                (-0.16 * side, 0.15),
                (-0.26 * side, -0.35),
                (-0.2 * side, -0.66),
            ]
        )
        insole = sole * (0.84, 0.92)
        shapes += [Shape(sole + (x, 0), "dark"), Shape(insole + (x, 0), "wood")]
        shapes += [
            Shape(band([(x - 0.3, -0.42), (x, -0.5), (x + 0.3, -0.42)], strap), "body"),
            Shape(band([(x - 0.26, -0.06), (x, -0.16), (x + 0.26, -0.06)], strap), "body"),
            Shape(band([(x - 0.24, 0.4), (x, 0.32), (x + 0.24, 0.4)], strap * 0.7), "body"),
            Shape(box(x + side * 0.17 - 0.05, 0.28, x + side * 0.17 + 0.05, 0.42, 0.02), "metal"),
        ]
    return shapes


def _boots(rng: np.random.Generator) -> list[Shape]:
    top = rng.uniform(-0.8, -0.6)
    shaft = smooth(
        [(-0.5, top), (-0.2, top + 0.02), (0.12, top), (0.12, -0.2), (0.2, 0.1), (0.52, 0.24), (0.74, 0.42)]
        + [(0.7, 0.6), (0.1, 0.62), (-0.5, 0.62), (-0.54, 0.3), (-0.46, -0.1)]
    )
    return [
        Shape(ellipse(-0.19, top + 0.02, 0.3, 0.06), "dark"),
        Shape(shaft, "body"),
        Shape(band([(-0.5, top + 0.06), (-0.19, top + 0.1), (0.13, top + 0.06)], 0.1), "trim"),
        Shape(band([(-0.5, 0.08), (-0.2, 0.16), (0.17, 0.04)], 0.09), "trim"),
        Shape(box(-0.12, 0.06, 0.02, 0.22, 0.03), "metal"),
        Shape(box(-0.56, 0.58, 0.78, 0.68, 0.04), "dark"),
        Shape(box(-0.56, 0.62, -0.18, 0.8, 0.03), "dark"),
    ]


def _handbag(rng: np.random.Generator) -> list[Shape]:
    handle = rng.uniform(-0.78, -0.62)
    width = rng.uniform(0.62, 0.74)
    flap = mirrored([(0.0, -0.2), (width * 0.86, -0.2), (width * 0.93, 0.1), (0.1, 0.26), (0.0, 0.26)])
    return [
        Shape(
            band(
                [(-0.36, -0.14), (-0.34, handle * 0.8), (0, handle), (0.34, handle * 0.8), (0.36, -0.14)],
                0.08,
            ),
            "trim",
        ),
        Shape(
            smooth(
                mirrored(
                    [(0.3, -0.2), (width * 0.86, -0.16), (width, 0.56), (width * 0.8, 0.66), (0.2, 0.66)]
                )
            ),
            "body",
        ),
        Shape(flap, "body"),
        Shape(
            band([(-width * 0.93, 0.1), (-0.1, 0.27), (0.1, 0.27), (width * 0.93, 0.1)], 0.035, curved=False),
            "trim",
        ),
        Shape(box(-0.09, 0.18, 0.09, 0.36, 0.03), "metal"),
        Shape(ellipse(-0.36, -0.12, 0.05, 0.05), "metal"),
        Shape(ellipse(0.36, -0.12, 0.05, 0.05), "metal"),
    ]


def _backpack(rng: np.random.Generator) -> list[Shape]:
    width = rng.uniform(0.5, 0.58)
    body = smooth(mirrored([(0.16, -0.72), (width * 0.86, -0.6), (width, 0.1), (width, 0.62), (0.3, 0.74)]))
    return [
        Shape(band([(-0.13, -0.66), (-0.1, -0.84), (0.1, -0.84), (0.13, -0.66)], 0.06), "dark"),
        Shape(band([(-width + 0.06, -0.4), (-width - 0.12, 0.1), (-width + 0.04, 0.62)], 0.12), "trim"),
        Shape(band([(width - 0.06, -0.4), (width + 0.12, 0.1), (width - 0.04, 0.62)], 0.12), "trim"),
        Shape(body, "body"),
        Shape(band([(-width * 0.86, -0.12), (-0.3, -0.5), (0.3, -0.5), (width * 0.86, -0.12)], 0.03), "dark"),
        Shape(box(-width * 0.74, 0.08, width * 0.74, 0.62, 0.12), "trim"),
        Shape(box(-width * 0.66, 0.2, width * 0.66, 0.58, 0.09), "body"),
        Shape(band([(-width * 0.6, 0.15), (width * 0.6, 0.15)], 0.03, curved=False), "metal"),
        Shape(box(-0.05, -0.36, 0.05, -0.26, 0.02), "metal"),
    ]


def _t_shirt(rng: np.random.Generator) -> list[Shape]:
    sleeve, hem = rng.uniform(-0.02, 0.12), rng.uniform(0.68, 0.78)
    shirt = mirrored(
        [(0.17, -0.66), (0.38, -0.6), (0.84, sleeve - 0.18), (0.6, sleeve + 0.02), (0.42, -0.18), (0.43, 0.3)]
        + [(0.44, hem), (0.0, hem + 0.02)]
    )
    neck = band([(-0.19, -0.67), (-0.12, -0.52), (0, -0.46), (0.12, -0.52), (0.19, -0.67)], 0.06)
    return [
        Shape(smooth([(-0.18, -0.67), (0.18, -0.67), (0.1, -0.52), (-0.1, -0.52)]), "trim"),
        Shape(np.vstack([shirt, [(-0.12, -0.52), (0.0, -0.47), (0.12, -0.52)]]), "body"),
        Shape(neck, "trim"),
        Shape(band([(0.41, -0.48), (0.4, -0.18)], 0.015, curved=False), "trim"),
        Shape(band([(-0.41, -0.48), (-0.4, -0.18)], 0.015, curved=False), "trim"),
        Shape(band([(-0.44, hem - 0.05), (0.0, hem - 0.03), (0.44, hem - 0.05)], 0.015), "trim"),
    ]


def _dress(rng: np.random.Generator) -> list[Shape]:
    flare, hem = rng.uniform(0.5, 0.68), rng.uniform(0.72, 0.84)
    bodice = mirrored([(0.0, -0.5), (0.1, -0.54), (0.17, -0.84), (0.25, -0.84), (0.27, -0.5), (0.2, -0.16)])
    skirt = smooth([(0.2, -0.18), (flare * 0.7, 0.3), (flare, hem), (flare * 0.5, hem + 0.05)], closed=False)
    return [
        Shape(bodice, "body"),
        Shape(mirrored(skirt), "body"),
        Shape(band([(0.06, -0.08), (flare * 0.34, hem)], 0.018, curved=False), "trim"),
        Shape(band([(-0.06, -0.08), (-flare * 0.34, hem)], 0.018, curved=False), "trim"),
        Shape(box(-0.22, -0.21, 0.22, -0.11, 0.02), "trim"),
        Shape(box(-0.05, -0.22, 0.05, -0.1, 0.02), "metal"),
        Shape(band([(-0.2, -0.82), (-0.1, -0.54), (0, -0.5), (0.1, -0.54), (0.2, -0.82)], 0.03), "trim"),
    ]


def _jacket(rng: np.random.Generator) -> list[Shape]:
    hem = rng.uniform(0.62, 0.76)
    torso = mirrored([(0.0, -0.64), (0.2, -0.68), (0.4, -0.58), (0.45, -0.1), (0.46, hem), (0.0, hem)])
    shapes = []
    for side in (-1, 1):
        arm = np.array([(0.36, -0.6), (0.52, -0.46), (0.74, 0.44), (0.55, 0.5), (0.4, -0.14)]) * (side, 1)
        cuff = np.array([(0.71, 0.36), (0.76, 0.52), (0.55, 0.58), (0.53, 0.42)]) * (side, 1)
        shapes += [Shape(arm, "body"), Shape(cuff, "trim")]
    shapes += [Shape(torso, "body"), Shape(box(-0.46, hem - 0.09, 0.46, hem + 0.02, 0.02), "trim")]
    for side in (-1, 1):
        collar = np.array([(0.0, -0.5), (0.1, -0.76), (0.24, -0.7), (0.28, -0.52), (0.14, -0.36)]) * (side, 1)
        pocket = band([(0.2 * side, 0.12), (0.33 * side, 0.34)], 0.045, curved=False)
        shapes += [Shape(collar, "trim"), Shape(pocket, "trim")]
    return [*shapes, Shape(band([(0, -0.46), (0, hem)], 0.05, curved=False), "metal")]


def _trousers(rng: np.random.Generator) -> list[Shape]:
    ankle = rng.uniform(0.16, 0.24)
    legs = mirrored(
        [(0.0, -0.8), (0.32, -0.8), (0.4, -0.4), (0.4, 0.2), (0.3 + ankle / 2, 0.82), (0.3 - ankle / 2, 0.84)]
        + [(0.06, -0.28), (0.0, -0.32)]
    )
    return [
        Shape(legs, "body"),
        Shape(box(-0.34, -0.86, 0.34, -0.74, 0.02), "trim"),
        Shape(band([(0.0, -0.74), (0.0, -0.34)], 0.025, curved=False), "trim"),
        Shape(band([(0.2, -0.74), (0.26, -0.6), (0.38, -0.56)], 0.03), "trim"),
        Shape(band([(-0.2, -0.74), (-0.26, -0.6), (-0.38, -0.56)], 0.03), "trim"),
        Shape(box(-0.04, -0.83, 0.04, -0.77, 0.03), "metal"),
    ]


def _hat(rng: np.random.Generator) -> list[Shape]:
    crown, brim = rng.uniform(-0.56, -0.4), rng.uniform(0.76, 0.88)
    top = smooth(mirrored([(0.12, crown + 0.03), (0.36, crown), (0.44, -0.1), (0.46, 0.2), (0.2, 0.26)]))
    return [
        Shape(ellipse(0, 0.26, brim, 0.26), "body"),
        Shape(band([(-brim, 0.27), (0, 0.53), (brim, 0.27)], 0.03), "trim"),
        Shape(top, "body"),
        Shape(band([(-0.45, 0.1), (-0.2, 0.19), (0.2, 0.19), (0.45, 0.1)], 0.13), "dark"),
    ]


def _watch(rng: np.random.Generator) -> list[Shape]:
    radius = rng.uniform(0.34, 0.42)
    hour = rng.uniform(0, 2 * np.pi)
    strap = mirrored([(0.0, -0.88), (0.22, -0.88), (0.24, -0.6), (0.28, 0.0), (0.24, 0.6), (0.2, 0.88)])
    hands = [
        Shape(band([(0, 0), (length * np.sin(a), -length * np.cos(a))], width, curved=False), "dark")
        for a, length, width in ((hour, radius * 0.5, 0.045), (hour * 12, radius * 0.7, 0.03))
    ]
    return [
        Shape(strap, "body"),
        *(Shape(ellipse(0, y, 0.03, 0.03), "dark") for y in (0.54, 0.66, 0.78)),
        Shape(box(-0.27, -0.9, 0.27, -0.78, 0.03), "metal"),
        Shape(box(radius - 0.02, -0.05, radius + 0.08, 0.05, 0.02), "metal"),
        Shape(ellipse(0, 0, radius, radius), "metal"),
        Shape(ellipse(0, 0, radius * 0.86, radius * 0.86), "trim"),
        Shape(ellipse(0, 0, radius * 0.74, radius * 0.74), "light"),
        *hands,
    ]


def _sunglasses(rng: np.random.Generator) -> list[Shape]:
    height, taper = rng.uniform(0.3, 0.4), rng.uniform(0.0, 0.12)
    shapes = [Shape(band([(-0.2, -0.12), (0, -0.2), (0.2, -0.12)], 0.12), "body")]
    for side in (-1, 1):
        rim = [
            (0.1, -0.24),
            (0.5, -0.32),
            (0.86, -0.3),
            (0.84 - taper, height - 0.1),
            (0.5, height),
            (0.16, height - 0.14),
        ]
        outer = smooth(np.array(rim) * (side, 1))
        centre = np.array([0.47 * side, 0.02])
        lens = (outer - centre) * (0.66, 0.62) + centre
        shine = band(np.array([(0.34, 0.06), (0.46, -0.1)]) * (side, 1), 0.05, curved=False)
        shapes += [Shape(outer, "body"), Shape(lens, "glass"), Shape(shine, "metal")]
    return shapes


def _mug(rng: np.random.Generator) -> list[Shape]:
    top, taper = rng.uniform(-0.56, -0.42), rng.uniform(0.0, 0.1)
    bottom = ellipse(-0.1, 0.5, 0.46 - taper, 0.1)[:25]  # the half in front, from right to left
    return [
        Shape(band([(0.3, -0.24), (0.6, -0.24), (0.7, 0.04), (0.58, 0.3), (0.26, 0.32)], 0.11), "trim"),
        Shape(np.vstack([[(0.36, top)], bottom, [(-0.56, top)]]), "body"),
        Shape(ellipse(-0.1, top, 0.46, 0.1), "light"),
        Shape(ellipse(-0.1, top + 0.02, 0.4, 0.07), "dark"),
    ]


def _lamp(rng: np.random.Generator) -> list[Shape]:
    top, bottom = rng.uniform(0.26, 0.4), rng.uniform(0.54, 0.66)
    return [
        Shape(ellipse(0, 0.76, 0.34, 0.09), "wood"),
        Shape(smooth(mirrored([(0.05, 0.0), (0.06, 0.2), (0.17, 0.45), (0.12, 0.68), (0.2, 0.76)])), "wood"),
        Shape(ellipse(0, 0.06, bottom, 0.09), "glow"),
        Shape(mirrored([(top, -0.76), (bottom, 0.06), (bottom * 0.5, 0.13)]), "body"),
        Shape(
            band([(-bottom, 0.05), (-bottom * 0.5, 0.125), (bottom * 0.5, 0.125), (bottom, 0.05)], 0.04),
            "trim",
        ),
        Shape(ellipse(0, -0.76, top, 0.05), "glow"),
    ]


def _chair(rng: np.random.Generator) -> list[Shape]:
    top, width = rng.uniform(-0.84, -0.66), rng.uniform(0.44, 0.54)
    legs = [
        Shape(band([(x, 0.4), (x * 1.12, 0.86)], 0.07, curved=False), "wood")
        for x in (-width - 0.05, -width * 0.5, width * 0.5, width + 0.05)
    ]
    return [
        *legs,
        Shape(smooth(mirrored([(0.16, top), (width, top + 0.1), (width * 1.02, 0.3), (0.2, 0.36)])), "body"),
        Shape(box(-width, 0.1, width, 0.48, 0.09), "body"),
        Shape(box(-width, 0.36, width, 0.5, 0.05), "trim"),
        Shape(box(-width - 0.16, -0.12, -width + 0.04, 0.5, 0.09), "trim"),
        Shape(box(width - 0.04, -0.12, width + 0.16, 0.5, 0.09), "trim"),
        *(Shape(ellipse(x, top + 0.34, 0.03, 0.03), "trim") for x in (-0.2, 0.0, 0.2)),
    ]


def _headphones(rng: np.random.Generator) -> list[Shape]:
    top, cup = rng.uniform(-0.76, -0.62), rng.uniform(0.36, 0.44)
    shapes = [
        Shape(band([(-0.62, 0.2), (-0.58, -0.36), (0, top), (0.58, -0.36), (0.62, 0.2)], 0.17), "body"),
        Shape(band([(-0.46, -0.34), (0, top + 0.16), (0.46, -0.34)], 0.07), "dark"),
    ]
    for side in (-1, 1):
        shapes += [
            Shape(ellipse(0.42 * side, 0.28, 0.15, cup * 0.92), "dark"),
            Shape(ellipse(0.6 * side, 0.28, 0.21, cup), "body"),
            Shape(ellipse(0.64 * side, 0.28, 0.07, cup * 0.42), "metal"),
        ]
    return shapes


SILHOUETTES: Mapping[str, Callable[[np.random.Generator], list[Shape]]] = {
    "running shoes": _running_shoes,
    "sandals": _sandals,
    "boots": _boots,
    "handbag": _handbag,
    "backpack": _backpack,
    "t-shirt": _t_shirt,
    "dress": _dress,
    "jacket": _jacket,
    "trousers": _trousers,
    "hat": _hat,
    "watch": _watch,
    "sunglasses": _sunglasses,
    "mug": _mug,
    "lamp": _lamp,
    "chair": _chair,
    "headphones": _headphones,
}
