"""Sine positional codes of a grid, recomputed per size: cheap, and no state to freeze."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def _axis_code(length: int, channels: int, device: torch.device) -> Tensor:
    """Code of one axis: float32 [length, channels], sin on even channels and cos on odd ones."""
    count = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    angle = count / (length + 1e-6) * (2.0 * math.pi)
    pair = torch.arange(channels, dtype=torch.float32, device=device).div(2.0).floor()
    wavelength = torch.pow(10000.0, 2.0 * pair / channels)
    phase = angle[:, None] / wavelength[None, :]
    return torch.stack((phase[:, 0::2].sin(), phase[:, 1::2].cos()), dim=2).flatten(1)


def sine_position_encoding(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Positional code of a grid in row-major order.

    Counts start at 1 and are normalised to (0, 2 pi]; the first half of the channels codes y,
    the second x (FC-CLIP's pixel decoder, after Mask2Former).

    Returns:
        float32 [height * width, channels].
    """
    half = channels // 2
    y = _axis_code(height, half, device)[:, None, :].expand(height, width, half)
    x = _axis_code(width, half, device)[None, :, :].expand(height, width, half)
    return torch.cat((y, x), dim=2).reshape(height * width, channels)


def pixel_centres(height: int, width: int, device: torch.device) -> Tensor:
    """Centres of a grid's cells, normalised: float32 [height * width, 2] as (x, y) in 0..1."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    grid_x = x[None, :].expand(height, width)
    grid_y = y[:, None].expand(height, width)
    return torch.stack((grid_x, grid_y), dim=2).reshape(height * width, 2)
