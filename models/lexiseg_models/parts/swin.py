"""Swin transformer (arXiv 2103.14030) as a feature pyramid, for images of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.dropout import Dropout
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear, linear


@dataclass(frozen=True)
class SwinConfig:
    """Shape of a Swin tower.

    Attributes:
        patch: side of a patch, pixels.
        width: channels of the first stage; each further one has twice as many.
        depths: blocks of each of the four stages.
        heads: of each attention, by stage.
        window: side of the attention windows, cells.
        drop_path: share of the images for which a residual branch of the last block is left out
            while training, 0 to less than 1; it grows from 0 block by block.
    """

    patch: int
    width: int
    depths: Tuple[int, int, int, int]
    heads: Tuple[int, int, int, int]
    window: int
    drop_path: float


# What stands on the tower has the same seeds: these places are past all of its own.
_FIRST_PLACE = 1 << 16


def relative_positions(window: int) -> Tensor:
    """Row of the bias table for each pair of cells of a window: int64 [window^2 * window^2]."""
    side = torch.arange(window)
    y, x = side.repeat_interleave(window), side.repeat(window)
    rows = y.unsqueeze(1) - y.unsqueeze(0) + window - 1
    columns = x.unsqueeze(1) - x.unsqueeze(0) + window - 1
    return (rows * (2 * window - 1) + columns).flatten()


def shifted_regions(height: int, width: int, window: int, shift: int) -> Tensor:
    """Which cells of a rolled map belong together: float32 [1, height, width, 1] of numbers.

    Rolling brings cells from opposite borders into one window; they must not see each other.
    """
    numbers = torch.zeros(1, height, width, 1)
    count = 0
    rows = ((0, height - window), (height - window, height - shift), (height - shift, height))
    columns = ((0, width - window), (width - window, width - shift), (width - shift, width))
    for top, bottom in rows:
        for left, right in columns:
            numbers[:, top:bottom, left:right, :] = float(count)
            count += 1
    return numbers


def split_windows(x: Tensor, window: int) -> Tensor:
    """[B, H, W, C] to [B * windows, window^2, C]; H and W are multiples of the window."""
    batch, height, width, channels = x.shape[0], x.shape[1], x.shape[2], x.shape[3]
    tiles = x.view(batch, height // window, window, width // window, window, channels)
    return tiles.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)


def join_windows(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `split_windows`: [B, height, width, C]."""
    channels = windows.shape[2]
    tiles = windows.view(-1, height // window, width // window, window, window, channels)
    return tiles.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, channels)


class WindowAttention(nn.Module):
    """Attention inside windows, with a learned bias for each relative position."""

    def __init__(self, *, width: int, heads: int, window: int) -> None:
        """The bias table starts near zero."""
        super().__init__()
        self.heads: int = heads
        self.window: int = window
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = Linear(width, width)
        self.bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.in_weight, std=0.02)
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def position_bias(self) -> Tensor:
        """[1, heads, window^2, window^2]."""
        cells = self.window * self.window
        index = relative_positions(self.window).to(self.bias_table.device)
        bias = self.bias_table.index_select(0, index).view(cells, cells, self.heads)
        return bias.permute(2, 0, 1).unsqueeze(0)

    def forward(self, x: Tensor, hidden: Optional[Tensor]) -> Tensor:
        """Attends within each window.

        Args:
            x: [B * windows, window^2, C].
            hidden: bool [windows, window^2, window^2], true where a cell must not look.
        """
        batch, cells, width = x.shape[0], x.shape[1], x.shape[2]
        packed = linear(x, self.in_weight, self.in_bias)
        packed = packed.view(batch, cells, 3, self.heads, width // self.heads)
        query, key, value = packed.permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.position_bias()
        if hidden is not None:
            windows = hidden.shape[0]
            # The published code adds -100, not minus infinity.
            apart = -100.0 * hidden.to(bias.dtype).unsqueeze(1)
            bias = (bias + apart).repeat(batch // windows, 1, 1, 1)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.out(mixed.transpose(1, 2).reshape(batch, cells, width))


class SwinBlock(nn.Module):
    """Attention in windows, shifted in every other block, and a fourfold MLP; pre-norm."""

    def __init__(
        self, *, width: int, heads: int, window: int, shift: int, drop_path: float, index: int
    ) -> None:
        """`shift` is 0 or half a window; `index` is the block's among the tower's."""
        super().__init__()
        self.window: int = window
        self.shift: int = shift
        self.drop_path = Dropout(drop_path)
        self.place: int = _FIRST_PLACE + 2 * index
        self.norm_attention = LayerNorm(width)
        self.attention = WindowAttention(width=width, heads=heads, window=window)
        self.norm_mlp = LayerNorm(width)
        self.expand = Linear(width, 4 * width, activation="gelu")
        self.project = Linear(4 * width, width)

    def hidden(self, height: int, width: int, device: torch.device) -> Tensor:
        """Pairs of cells that the shift brought together: bool [windows, cells, cells]."""
        regions = shifted_regions(height, width, self.window, self.shift).to(device)
        numbers = split_windows(regions, self.window)[:, :, 0]
        return numbers.unsqueeze(1) != numbers.unsqueeze(2)

    def attend(self, x: Tensor) -> Tensor:
        """[B, H, W, C], normed, to the same shape; padded with zeros to whole windows."""
        height, width = x.shape[1], x.shape[2]
        below = (self.window - height % self.window) % self.window
        right = (self.window - width % self.window) % self.window
        x = F.pad(x, (0, 0, 0, right, 0, below))
        rows, columns = height + below, width + right
        hidden: Optional[Tensor] = None
        if self.shift > 0:
            x = torch.roll(x, [-self.shift, -self.shift], [1, 2])
            hidden = self.hidden(rows, columns, x.device)
        mixed = self.attention(split_windows(x, self.window), hidden)
        x = join_windows(mixed, self.window, rows, columns)
        if self.shift > 0:
            x = torch.roll(x, [self.shift, self.shift], [1, 2])
        return x[:, :height, :width]

    def forward(self, x: Tensor, seeds: Optional[Tensor] = None) -> Tensor:
        """[B, H, W, C] to the same shape; `seeds`, int64 [B], say which branches are left out."""
        mixed = self.attend(self.norm_attention(x))
        x = x + self.drop_path.drop_images(mixed, seeds, self.place)
        hidden = self.project(self.expand(self.norm_mlp(x)))
        return x + self.drop_path.drop_images(hidden, seeds, self.place + 1)


class PatchMerging(nn.Module):
    """Four neighbours become one cell of twice the channels."""

    def __init__(self, *, width: int) -> None:
        """From `width` to 2 * `width` channels."""
        super().__init__()
        self.norm = LayerNorm(4 * width)
        self.reduction = Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] to [B, H / 2, W / 2, 2C], odd sides padded with zeros."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        even, odd = x[:, 0::2], x[:, 1::2]
        parts = (even[:, :, 0::2], odd[:, :, 0::2], even[:, :, 1::2], odd[:, :, 1::2])
        return self.reduction(self.norm(torch.cat(parts, dim=3)))


class Swin(nn.Module):
    """An image to the feature pyramid res2 to res5."""

    def __init__(self, config: SwinConfig) -> None:
        """Stages as `config` says."""
        super().__init__()
        self.patch: int = config.patch
        widths = [config.width * 2**i for i in range(4)]
        self.patches = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        self.norm_patches = LayerNorm(config.width)
        self.stages = nn.ModuleList()
        last, index = max(1, sum(config.depths) - 1), 0
        for width, depth, heads in zip(widths, config.depths, config.heads):
            stage = nn.ModuleList()
            for i in range(depth):
                stage.append(
                    SwinBlock(
                        width=width,
                        heads=heads,
                        window=config.window,
                        shift=0 if i % 2 == 0 else config.window // 2,
                        drop_path=config.drop_path * index / last,
                        index=index,
                    )
                )
                index += 1
            self.stages.append(stage)
        # The first entry keeps stages and reductions in step.
        self.reductions = nn.ModuleList([nn.Identity()])
        self.reductions.extend(PatchMerging(width=width) for width in widths[:3])
        self.norms = nn.ModuleList(LayerNorm(width) for width in widths)

    def forward(self, image: Tensor, seeds: Optional[Tensor] = None) -> List[Tensor]:
        """The feature pyramid.

        Args:
            image: normalised float [B, 3, H, W].
            seeds: of stochastic depth, int64 [B]; none at inference.

        Returns:
            Four maps [B, C, H / s, W / s] at strides 4, 8, 16, 32, each after a norm of its own.
        """
        right = (self.patch - image.shape[3] % self.patch) % self.patch
        below = (self.patch - image.shape[2] % self.patch) % self.patch
        image = F.pad(image, (0, right, 0, below)).to(self.patches.weight.dtype)
        x = self.norm_patches(self.patches(image).permute(0, 2, 3, 1))
        features: List[Tensor] = []
        for reduction, stage, norm in zip(self.reductions, self.stages, self.norms):
            x = reduction(x)
            for block in stage:
                x = block(x, seeds)
            features.append(norm(x).permute(0, 3, 1, 2))
        return features
