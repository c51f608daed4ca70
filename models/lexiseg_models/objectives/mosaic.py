"""Mosaics: images laid side by side, so that a feature map has to tell its places apart."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def lay_mosaics(images: Tensor, side: int, count: int) -> Tensor:
    """Lays side * side images each on one canvas, row by row.

    Args:
        images: [count * side * side, C, h, w].
        side: images along an edge of a canvas.
        count: canvases.

    Returns:
        [count, C, side * h, side * w], channels last in memory.
    """
    channels, height, width = images.shape[1], images.shape[2], images.shape[3]
    # Channels last before and after: rows of pixels move whole.
    tiles = images.permute(0, 2, 3, 1).reshape(count, side, side, height, width, channels)
    rows = tiles.permute(0, 1, 3, 2, 4, 5).reshape(count, side * height, side * width, channels)
    return rows.permute(0, 3, 1, 2)


def pool_tiles(dense: Tensor, side: int) -> Tensor:
    """Mean feature of each image of mosaics.

    Args:
        dense: float32 features of canvases, [count, C, h, w]. Cells that two tiles share count
            for both.
        side: images along an edge of a canvas.

    Returns:
        [count * side * side, C], in the order of the images.
    """
    means = F.adaptive_avg_pool2d(dense, (side, side))
    return means.flatten(2).transpose(1, 2).flatten(0, 1)
