"""Values of maps at points."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_at(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of maps at points; zero outside, half-pixel centres.

    Args:
        maps: floating point [N, H, W].
        points: float32 [N, P, 2], (x, y) in the unit square.

    Returns:
        float32 [N, P].
    """
    grid = (2.0 * points - 1.0).unsqueeze(2)
    values = torch.nn.functional.grid_sample(
        maps.to(torch.float32).unsqueeze(1), grid, align_corners=False
    )
    return values[:, 0, :, 0]
