"""The outline of every kind of product, as painted polygons from back to front.

Coordinates run from -1 to 1 with y pointing down, as in an image; a product fills about -0.8 to 0.8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from twotower.demo.shapes import Shape, band, box, ellipse, mirrored, sided, smooth


def _running_shoes(rng: np.random.Generator) -> list[Shape]:
    collar = rng.uniform(-0.32, -0.22)
    upper = [
        (-0.74, collar), (-0.55, -0.1), (-0.3, -0.12), (-0.1, -0.4), (0.08, -0.26), (0.4, 0.0),
        (0.7, 0.08), (0.83, 0.24), (0.6, 0.34), (-0.2, 0.34), (-0.74, 0.34), (-0.8, 0.1),
    ]  # fmt: skip
    heel = [(-0.74, collar), (-0.62, collar + 0.1), (-0.66, 0.3), (-0.78, 0.3), (-0.8, 0.1)]
    toe = [(0.5, 0.26), (0.58, 0.08), (0.7, 0.08), (0.83, 0.24), (0.7, 0.32)]
    sole = [(-0.82, 0.24), (0.0, 0.3), (0.86, 0.2), (0.86, 0.38), (0.0, 0.42), (-0.84, 0.42)]
    laces = [
        Shape(band([(x - 0.1, y + 0.04), (x + 0.07, y - 0.08)], 0.035, curved=False), "light")
        for x, y in ((0.1, -0.14), (0.21, -0.06), (0.32, 0.02))
    ]
    return [
        Shape(smooth(upper), "body"),
        Shape(smooth(heel), "trim"),
        Shape(smooth(toe), "trim"),
        *laces,
        Shape(smooth(sole), "light"),
        Shape(band([(-0.82, 0.41), (0.0, 0.42), (0.82, 0.39)], 0.05), "dark"),
    ]


def _sandals(rng: np.random.Generator) -> list[Shape]:
    strap = rng.uniform(0.2, 0.26)
    shapes = []
    for side, x in ((-1, -0.36), (1, 0.36)):
        outline = [
            (0.0, -0.8), (0.24, -0.66), (0.28, -0.3), (0.2, 0.2), (0.22, 0.6),
            (0.0, 0.8), (-0.2, 0.6), (-0.16, 0.15), (-0.26, -0.35), (-0.2, -0.66),
        ]  # fmt: skip
        sole, place = sided(smooth(outline), side), np.array([x, 0.0])
        shapes += [Shape(sole + place, "dark"), Shape(sole * (0.84, 0.92) + place, "wood")]
        shapes += [
            Shape(band([(x - 0.3, -0.42), (x, -0.5), (x + 0.3, -0.42)], strap), "body"),
            Shape(band([(x - 0.26, -0.06), (x, -0.16), (x + 0.26, -0.06)], strap), "body"),
            Shape(band([(x - 0.24, 0.4), (x, 0.32), (x + 0.24, 0.4)], strap * 0.7), "body"),
            Shape(box(x + side * 0.17 - 0.05, 0.28, x + side * 0.17 + 0.05, 0.42, 0.02), "metal"),
        ]
    return shapes


def _boots(rng: np.random.Generator) -> list[Shape]:
    top = rng.uniform(-0.8, -0.6)
    leather = [
        (-0.5, top), (-0.2, top + 0.02), (0.12, top), (0.12, -0.2), (0.2, 0.1), (0.52, 0.24),
        (0.74, 0.42), (0.7, 0.6), (0.1, 0.62), (-0.5, 0.62), (-0.54, 0.3), (-0.46, -0.1),
    ]  # fmt: skip
    return [
        Shape(ellipse(-0.19, top + 0.02, 0.3, 0.06), "dark"),
        Shape(smooth(leather), "body"),
        Shape(band([(-0.5, top + 0.06), (-0.19, top + 0.1), (0.13, top + 0.06)], 0.1), "trim"),
        Shape(band([(-0.5, 0.08), (-0.2, 0.16), (0.17, 0.04)], 0.09), "trim"),
        Shape(box(-0.12, 0.06, 0.02, 0.22, 0.03), "metal"),
        Shape(box(-0.56, 0.58, 0.78, 0.68, 0.04), "dark"),
        Shape(box(-0.56, 0.62, -0.18, 0.8, 0.03), "dark"),
    ]


def _handbag(rng: np.random.Generator) -> list[Shape]:
    handle = rng.uniform(-0.78, -0.62)
    width = rng.uniform(0.62, 0.74)
    grip = [(-0.36, -0.14), (-0.34, handle * 0.8), (0, handle), (0.34, handle * 0.8), (0.36, -0.14)]
    bag = [(0.3, -0.2), (width * 0.86, -0.16), (width, 0.56), (width * 0.8, 0.66), (0.2, 0.66)]
    flap = [(0.0, -0.2), (width * 0.86, -0.2), (width * 0.93, 0.1), (0.1, 0.26), (0.0, 0.26)]
    seam = [(-width * 0.93, 0.1), (-0.1, 0.27), (0.1, 0.27), (width * 0.93, 0.1)]
    return [
        Shape(band(grip, 0.08), "trim"),
        Shape(smooth(mirrored(bag)), "body"),
        Shape(mirrored(flap), "body"),
        Shape(band(seam, 0.035, curved=False), "trim"),
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
    cotton = [
        (0.17, -0.66), (0.38, -0.6), (0.84, sleeve - 0.18), (0.6, sleeve + 0.02),
        (0.42, -0.18), (0.43, 0.3), (0.44, hem), (0.0, hem + 0.02),
    ]  # fmt: skip
    neck = band([(-0.19, -0.67), (-0.12, -0.52), (0, -0.46), (0.12, -0.52), (0.19, -0.67)], 0.06)
    return [
        Shape(smooth([(-0.18, -0.67), (0.18, -0.67), (0.1, -0.52), (-0.1, -0.52)]), "trim"),
        Shape(np.vstack([mirrored(cotton), [(-0.12, -0.52), (0.0, -0.47), (0.12, -0.52)]]), "body"),
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
        arm = sided([(0.36, -0.6), (0.52, -0.46), (0.74, 0.44), (0.55, 0.5), (0.4, -0.14)], side)
        cuff = sided([(0.71, 0.36), (0.76, 0.52), (0.55, 0.58), (0.53, 0.42)], side)
        shapes += [Shape(arm, "body"), Shape(cuff, "trim")]
    shapes += [Shape(torso, "body"), Shape(box(-0.46, hem - 0.09, 0.46, hem + 0.02, 0.02), "trim")]
    for side in (-1, 1):
        collar = sided([(0.0, -0.5), (0.1, -0.76), (0.24, -0.7), (0.28, -0.52), (0.14, -0.36)], side)
        pocket = band([(0.2 * side, 0.12), (0.33 * side, 0.34)], 0.045, curved=False)
        shapes += [Shape(collar, "trim"), Shape(pocket, "trim")]
    return [*shapes, Shape(band([(0, -0.46), (0, hem)], 0.05, curved=False), "metal")]


def _trousers(rng: np.random.Generator) -> list[Shape]:
    ankle = rng.uniform(0.16, 0.24)
    leg = [
        (0.0, -0.8), (0.32, -0.8), (0.4, -0.4), (0.4, 0.2),
        (0.3 + ankle / 2, 0.82), (0.3 - ankle / 2, 0.84), (0.06, -0.28), (0.0, -0.32),
    ]  # fmt: skip
    return [
        Shape(mirrored(leg), "body"),
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
            (0.1, -0.24), (0.5, -0.32), (0.86, -0.3),
            (0.84 - taper, height - 0.1), (0.5, height), (0.16, height - 0.14),
        ]  # fmt: skip
        outer = smooth(sided(rim, side))
        centre = np.array([0.47 * side, 0.02])
        lens = (outer - centre) * (0.66, 0.62) + centre
        shine = band(sided([(0.34, 0.06), (0.46, -0.1)], side), 0.05, curved=False)
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
    edge = [(-bottom, 0.05), (-bottom * 0.5, 0.125), (bottom * 0.5, 0.125), (bottom, 0.05)]
    return [
        Shape(ellipse(0, 0.76, 0.34, 0.09), "wood"),
        Shape(smooth(mirrored([(0.05, 0.0), (0.06, 0.2), (0.17, 0.45), (0.12, 0.68), (0.2, 0.76)])), "wood"),
        Shape(ellipse(0, 0.06, bottom, 0.09), "glow"),
        Shape(mirrored([(top, -0.76), (bottom, 0.06), (bottom * 0.5, 0.13)]), "body"),
        Shape(band(edge, 0.04), "trim"),
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
