"""Uniform points from counters: no generator, so they depend on nothing but their seeds."""

from __future__ import annotations

import torch
from torch import Tensor


def mix_seeds(seeds: Tensor, stream: int) -> Tensor:
    """Well spread numbers from seeds that may be neighbours.

    Args:
        seeds: int64, any shape.
        stream: independent sequences have different numbers.

    Returns:
        int64 of the same shape.
    """
    # SplitMix64 (Steele, Lea, Flood 2014), its constants as signed 64-bit numbers.
    z = seeds + torch.full_like(seeds, stream + 1) * -7046029254386353131
    z = (z ^ ((z >> 30) & 0x3FFFFFFFF)) * -4658895280553007687
    z = (z ^ ((z >> 27) & 0x1FFFFFFFFF)) * -7723592293110705685
    return z ^ ((z >> 31) & 0x1FFFFFFFF)


def uniform_points(seeds: Tensor, count: int) -> Tensor:
    """Points of the unit square, the same for a seed whatever batch, device or rank it is on.

    Value i of a seed is the upper 24 bits of SplitMix64 of seed + i * 0x632BE5AB.

    Args:
        seeds: int64 [N].
        count: points of each seed, at least 0.

    Returns:
        float32 [N, count, 2], each coordinate in [0, 1).
    """
    return torch.ops.lexiseg.uniform_points(seeds, count)
