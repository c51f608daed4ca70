"""Pictures drawn from a seed: gradients, discs, boxes and stripes, never a copied photograph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def draw_picture(height: int, width: int, seed: int = 0, shapes: int = 14) -> Picture:
    """A uint8 [height, width, 3] RGB picture; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.empty((height, width, 3))
    for c in range(3):
        a, b, d = rng.uniform(-1, 1, 3)
        picture[..., c] = 128 + 70 * (a * x / width + b * y / height + 0.3 * d)
    for index in range(shapes):
        colour = rng.uniform(0, 255, 3)
        cy, cx = rng.uniform(0, height), rng.uniform(0, width)
        ry, rx = rng.uniform(0.05, 0.3, 2) * (height, width)
        if index % 3 == 0:
            inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        elif index % 3 == 1:
            inside = (abs(y - cy) < ry) & (abs(x - cx) < rx)
        else:
            angle = rng.uniform(0, np.pi)
            along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
            inside = (abs(along) < 0.08 * min(height, width)) & (abs(y - cy) < 2 * ry)
        stripes = 30 * np.sin((x + index * y) * rng.uniform(0.05, 0.5))
        picture[inside] = colour + stripes[inside][:, None] * (index % 2)
    picture += rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).round().astype(np.uint8)
