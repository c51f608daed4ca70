"""DeepLab's ResNet as a feature pyramid: a stem of three convolutions, dilated last stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.conv_norm import ConvNorm


@dataclass(frozen=True)
class ResNetConfig:
    """Shape of a ResNet.

    Attributes:
        blocks: bottlenecks of each of the four stages.
        stem_width: channels that the stem gives; its first convolutions have half of them.
        width: inner channels of the first stage; each further one has twice as many.
        last_dilations: of the first blocks of the last stage; the rest have 1.
    """

    blocks: Tuple[int, int, int, int]
    stem_width: int
    width: int
    last_dilations: Tuple[int, int, int]


class ResNetBottleneck(nn.Module):
    """1x1, 3x3, 1x1 with the stride in the 3x3 convolution."""

    def __init__(self, in_width: int, width: int, *, stride: int, dilation: int) -> None:
        """The output has 4 * width channels."""
        super().__init__()
        self.reduce = ConvNorm(in_width, width)
        self.mix = ConvNorm(width, width, kernel=3, stride=stride, dilation=dilation)
        self.expand = ConvNorm(width, 4 * width)
        self.shortcut: Optional[ConvNorm] = None
        if in_width != 4 * width or stride > 1:
            self.shortcut = ConvNorm(in_width, 4 * width, stride=stride)
        # Stored statistics do not normalise random weights: a small last scale keeps deep
        # untrained towers finite.
        nn.init.constant_(self.expand.norm.weight, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, h, w] to [B, 4 * width, h / stride, w / stride]."""
        y = self.expand(F.relu(self.mix(F.relu(self.reduce(x)))))
        identity = x
        if self.shortcut is not None:
            identity = self.shortcut(x)
        return F.relu(y + identity)


class ResNet(nn.Module):
    """An image to the feature pyramid res2 to res5."""

    def __init__(self, config: ResNetConfig) -> None:
        """Stages as `config` says."""
        super().__init__()
        half = config.stem_width // 2
        self.stem = nn.ModuleList(
            [
                ConvNorm(3, half, kernel=3, stride=2),
                ConvNorm(half, half, kernel=3),
                ConvNorm(half, config.stem_width, kernel=3),
            ]
        )
        self.stages = nn.ModuleList()
        in_width = config.stem_width
        for i, count in enumerate(config.blocks):
            inner = config.width * 2**i
            blocks: List[nn.Module] = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                last = i == 3 and j < len(config.last_dilations)
                dilation = config.last_dilations[j] if last else 1
                blocks.append(ResNetBottleneck(in_width, inner, stride=stride, dilation=dilation))
                in_width = 4 * inner
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, image: Tensor, seeds: Optional[Tensor] = None) -> List[Tensor]:
        """The feature pyramid.

        Args:
            image: normalised float [B, 3, H, W], H and W multiples of 32.
            seeds: int64 [B], as other towers take them; nothing here is left to chance.

        Returns:
            Four maps [B, C, H / s, W / s] at strides 4, 8, 16, 32.
        """
        x = image
        for i, conv in enumerate(self.stem):
            if i == 0:
                x = x.to(conv.conv.weight.dtype)
            x = F.relu(conv(x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        features: List[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
