"""The plain feature pyramid of MaskFormer (arXiv 2107.06278): coarse maps added to finer ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class PyramidDecoderConfig:
    """Shape of the decoder.

    Attributes:
        width: channels of every map and of the mask features.
        groups: of its group norms.
    """

    width: int
    groups: int


class GroupedConv(nn.Module):
    """Convolution without bias, GroupNorm, and a ReLU if asked for."""

    def __init__(
        self, in_width: int, width: int, *, kernel: int, groups: int, activated: bool
    ) -> None:
        """Same padding for odd kernels."""
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(groups, width)
        self.activated: bool = activated
        nn.init.kaiming_uniform_(self.conv.weight, a=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, h, w] to [B, C, h, w]."""
        y = self.norm(self.conv(x))
        return F.relu(y) if self.activated else y


class PyramidDecoder(nn.Module):
    """res2 to res5 to mask features at stride 4."""

    def __init__(self, config: PyramidDecoderConfig, *, in_widths: Sequence[int]) -> None:
        """`in_widths` are the channels of res2 to res5."""
        super().__init__()
        width, groups = config.width, config.groups
        self.deepest = GroupedConv(in_widths[3], width, kernel=3, groups=groups, activated=True)
        # From res4 up to res2, as they are added.
        self.laterals = nn.ModuleList(
            GroupedConv(w, width, kernel=1, groups=groups, activated=False)
            for w in reversed(in_widths[:3])
        )
        self.layers = nn.ModuleList(
            GroupedConv(width, width, kernel=3, groups=groups, activated=True) for _ in range(3)
        )
        self.mask_features = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_uniform_(self.mask_features.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)

    def forward(self, features: List[Tensor]) -> Tensor:
        """Mask features.

        Args:
            features: res2 to res5, [B, C, h, w] each.

        Returns:
            [B, width, H / 4, W / 4].
        """
        y = self.deepest(features[3])
        for i, (lateral, layer) in enumerate(zip(self.laterals, self.layers)):
            x = lateral(features[2 - i])
            y = layer(x + F.interpolate(y, size=x.shape[2:], mode="nearest"))
        return self.mask_features(y)
