"""Mask logits and geometries that the tests of whole-image ops share."""

from __future__ import annotations

import torch
from torch import Tensor

# (network H, W, valid H, W, output H, W)
GEOMETRIES = {
    "one pixel": (32, 32, 32, 32, 1, 1),
    "one row": (32, 64, 32, 50, 1, 37),
    "smaller": (64, 64, 60, 33, 17, 23),
    "larger": (64, 96, 64, 80, 97, 131),
    "identity": (8, 8, 8, 8, 8, 8),
}


def blobs(queries: int, geometry: tuple[int, ...], stride: int = 4) -> Tensor:
    """Smooth mask logits, float32 [Q, h, w] at a stride of the network size, in about [-6, 6]."""
    height, width = max(1, geometry[0] // stride), max(1, geometry[1] // stride)
    coarse = torch.randn(queries, 1, 3, 3)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")[:, 0]
    return 3 * smooth + 0.3 * torch.randn(queries, height, width)


def probabilities(queries: int, classes: int) -> Tensor:
    """float32 [Q, K + 1], void last."""
    return (3 * torch.randn(queries, classes + 1)).softmax(-1)
