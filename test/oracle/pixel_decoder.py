"""The deformable pixel decoder: feature pyramid → mask features and three memory maps."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import DecoderConfig
from .deformable import DeformableTransformer


def sine_position(feature: Tensor, temperature: float = 10000.0) -> Tensor:
    """Sine code of the cells of a map [B, C, h, w]: float [B, C, h, w], y half first."""
    batch, channels, height, width = feature.shape
    half = channels // 2
    ones = torch.ones(batch, height, width)
    y, x = ones.cumsum(1), ones.cumsum(2)
    y = y / (y[:, -1:] + 1e-6) * 2 * math.pi
    x = x / (x[:, :, -1:] + 1e-6) * 2 * math.pi
    index = torch.arange(half, dtype=torch.float32)
    period = temperature ** (2 * torch.div(index, 2, rounding_mode="floor") / half)

    def encode(axis: Tensor) -> Tensor:
        angle = axis[..., None] / period
        pair = torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=4)
        return pair.flatten(3)

    return torch.cat([encode(y), encode(x)], dim=3).permute(0, 3, 1, 2)


class NormedConv(nn.Conv2d):
    """A convolution without bias, followed by GroupNorm and, if asked, ReLU."""

    def __init__(self, source: int, width: int, kernel: int, groups: int, relu: bool) -> None:
        """Padding keeps the size."""
        super().__init__(source, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(groups, width)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """x: float [B, source, H, W] → [B, width, H, W]."""
        x = self.norm(super().forward(x))
        return functional.relu(x) if self.relu else x


class PixelDecoder(nn.Module):
    """`sem_seg_head.pixel_decoder` of the published model."""

    def __init__(self, channels: tuple[int, int, int, int], config: DecoderConfig) -> None:
        """channels: of res2…res5."""
        super().__init__()
        width, groups = config.hidden_dim, config.groups
        self.input_proj = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(c, width, 1), nn.GroupNorm(groups, width))
                for c in channels[:0:-1]
            ]
        )
        self.transformer = DeformableTransformer(config)
        self.adapter_1 = NormedConv(channels[0], width, 1, groups, relu=False)
        self.layer_1 = NormedConv(width, width, 3, groups, relu=True)
        self.mask_features = nn.Conv2d(width, config.mask_dim, 1)

    def forward(self, pyramid: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """res2…res5 → mask features [B, C, H/4, W/4] and maps at strides 32, 16, 8."""
        maps = [project(m) for project, m in zip(self.input_proj, pyramid[:0:-1], strict=True)]
        memory = self.transformer(maps, [sine_position(m) for m in maps])
        lateral = self.adapter_1(pyramid[0])
        finest = functional.interpolate(
            memory[-1], size=lateral.shape[-2:], mode="bilinear", align_corners=False
        )
        return self.mask_features(self.layer_1(lateral + finest)), memory
