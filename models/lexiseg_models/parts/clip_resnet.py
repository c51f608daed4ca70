"""CLIP's modified ResNet image tower and its attention pool for regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.conv_norm import ConvNorm
from lexiseg_models.parts.linear import Linear


@dataclass(frozen=True)
class ClipResNetConfig:
    """Shape of a CLIP ResNet tower.

    Attributes:
        blocks: bottlenecks of each of the four layers.
        width: base width w; res2 to res5 have 4w, 8w, 16w, 32w channels.
        heads: of the attention pool.
        position_grid: edge of the attention pool's square positional table, cells.
    """

    blocks: Tuple[int, int, int, int]
    width: int
    heads: int
    position_grid: int


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with the stride as an average pool before the last convolution."""

    def __init__(self, in_width: int, width: int, *, stride: int) -> None:
        """The output has 4 * width channels."""
        super().__init__()
        self.stride: int = stride
        self.reduce = ConvNorm(in_width, width)
        self.mix = ConvNorm(width, width, kernel=3)
        self.expand = ConvNorm(width, 4 * width)
        self.shortcut: Optional[ConvNorm] = None
        if stride > 1 or in_width != 4 * width:
            self.shortcut = ConvNorm(in_width, 4 * width)
        # Stored statistics do not normalise random weights: a small last scale keeps deep
        # untrained towers finite.
        nn.init.constant_(self.expand.norm.weight, 0.3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, h, w] to [B, 4 * width, h / stride, w / stride]."""
        y = F.relu(self.mix(F.relu(self.reduce(x))))
        identity = x
        if self.stride > 1:
            y = F.avg_pool2d(y, self.stride)
        if self.shortcut is not None:
            if self.stride > 1:
                identity = F.avg_pool2d(identity, self.stride)
            identity = self.shortcut(identity)
        return F.relu(self.expand(y) + identity)


class ClipResNet(nn.Module):
    """The trunk: an image to the feature pyramid res2 to res5."""

    def __init__(self, config: ClipResNetConfig) -> None:
        """Three stem convolutions, then four layers as `config` says."""
        super().__init__()
        width = config.width
        self.stem = nn.ModuleList(
            [
                ConvNorm(3, width // 2, kernel=3, stride=2),
                ConvNorm(width // 2, width // 2, kernel=3),
                ConvNorm(width // 2, width, kernel=3),
            ]
        )
        self.layers = nn.ModuleList()
        in_width = width
        for i, count in enumerate(config.blocks):
            inner = width * 2**i
            blocks: List[nn.Module] = []
            for j in range(count):
                stride = 2 if i > 0 and j == 0 else 1
                blocks.append(Bottleneck(in_width, inner, stride=stride))
                in_width = 4 * inner
            self.layers.append(nn.Sequential(*blocks))

    def forward(self, image: Tensor) -> List[Tensor]:
        """The feature pyramid.

        Args:
            image: normalised float [B, 3, H, W], H and W multiples of 32.

        Returns:
            Four maps [B, C, H / s, W / s] at strides 4, 8, 16, 32.
        """
        x = image
        for i, conv in enumerate(self.stem):
            if i == 0:
                x = x.to(conv.conv.weight.dtype)
            x = F.relu(conv(x))
        x = F.avg_pool2d(x, 2)
        features: List[Tensor] = []
        for layer in self.layers:
            x = layer(x)
            features.append(x)
        return features


class AttentionRegionHead(nn.Module):
    """CLIP embedding of a region by CLIP's own attention pool, keys limited to the mask.

    The query is the mean of all tokens, not of the masked ones, and that mean token is not among
    the keys; the spatial positional table is interpolated to the size of the map.
    """

    def __init__(self, config: ClipResNetConfig, *, embedding_dim: int) -> None:
        """The table starts at the scale of CLIP's own initialisation."""
        super().__init__()
        width = 32 * config.width
        self.heads: int = config.heads
        self.position_grid: int = config.position_grid
        rows = 1 + config.position_grid**2
        self.position_embedding = nn.Parameter(torch.empty(rows, width))
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.value = Linear(width, width)
        self.out = Linear(width, embedding_dim)
        nn.init.normal_(self.position_embedding, std=width**-0.5)

    def _positions(self, height: int, width: int) -> Tensor:
        """Spatial rows of the table at the size of the map: [1, height * width, C]."""
        grid = self.position_grid
        table = self.position_embedding[1:].to(torch.float32).t().reshape(1, -1, grid, grid)
        table = F.interpolate(table, size=(height, width), mode="bilinear", align_corners=False)
        return table.flatten(2).transpose(1, 2)

    def forward(self, dense: Tensor, mask_logits: Tensor) -> Tensor:
        """Region embeddings.

        Args:
            dense: res5, [B, C, h, w].
            mask_logits: float32 [B, Q, h, w] at the same stride, before sigmoid. A query whose
                mask is empty sees everything, so that it stays finite; the ensemble's valid-mask
                variant ignores it.

        Returns:
            [B, Q, D], not normalised.
        """
        batch, channels, height, width = dense.shape
        tokens = dense.flatten(2).transpose(1, 2)
        keyed = tokens + self._positions(height, width).to(dense.dtype)
        mean = tokens.mean(dim=1, keepdim=True) + self.position_embedding[:1]
        inside = (mask_logits.detach() > 0).flatten(2)
        visible = inside | ~inside.any(dim=2, keepdim=True)
        queries = mask_logits.shape[1]
        query = self.query(mean).view(batch, 1, self.heads, -1).transpose(1, 2)
        key = self.key(keyed).view(batch, height * width, self.heads, -1).transpose(1, 2)
        value = self.value(keyed).view(batch, height * width, self.heads, -1).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(
            query.expand(-1, -1, queries, -1), key, value, attn_mask=visible.unsqueeze(1)
        )
        return self.out(mixed.transpose(1, 2).reshape(batch, queries, channels))
