"""Plane geometry for drawing: smooth outlines, ellipses, round boxes and bands, as polygons."""

from __future__ import annotations

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


def sided(points: ArrayLike, side: int) -> Points:
    """The points on the right (side 1), or their mirror image on the left (side -1)."""
    return np.asarray(points, dtype=np.float64) * (side, 1)
