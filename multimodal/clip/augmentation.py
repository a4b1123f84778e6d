"""Random changes of photos that leave it recognisable what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

# CLIP's, of red, green and blue.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def augment(photos: Tensor, size: int, generator: Generator) -> Tensor:
    """Rotate, stretch, crop, mirror, brighten and blur each photo at random; colours keep their hue.

    Args:
        photos: uint8 of shape (n, 3, height, width).
        size: of the result, in pixels.
        generator: the source of randomness.

    Returns:
        float32 of shape (n, 3, size, size), normalised as CLIP expects it.
    """
    import torch
    from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

    count = len(photos)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, zoom, stretch = uniform(-0.2, 0.2), uniform(0.85, 1.2), uniform(0.9, 1.1)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # Maps positions in the result to positions in the photo, so a zoom above 1 makes the product smaller.
    right = torch.stack(
        [angle.cos() * zoom * mirror, -angle.sin() * zoom * stretch, uniform(-0.12, 0.12)], dim=1
    )
    down = torch.stack(
        [angle.sin() * zoom * mirror, angle.cos() * zoom * stretch, uniform(-0.12, 0.12)], dim=1
    )
    grid = affine_grid(torch.stack([right, down], dim=1), [count, 3, size, size], align_corners=False)
    moved = grid_sample(photos.float() / 255, grid, padding_mode="border", align_corners=False)
    blurred = avg_pool2d(moved, 3, stride=1, padding=1, count_include_pad=False)
    moved = torch.where((uniform(0, 1) < 0.2)[:, None, None, None], blurred, moved)
    bright = (moved * uniform(0.75, 1.1)[:, None, None, None]).clamp(0, 1)
    return (bright - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
