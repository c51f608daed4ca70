"""Swin backbone with the published names, window by window."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Attention of one window at a time."""

    def __init__(self, width: int, heads: int, window: int) -> None:
        """Keeps the published names, and the index table that files carry."""
        super().__init__()
        self.heads, self.window = heads, window
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        index = torch.zeros(window**2, window**2, dtype=torch.int64)
        for a in range(window**2):
            for b in range(window**2):
                row = a // window - b // window + window - 1
                column = a % window - b % window + window - 1
                index[a, b] = row * (2 * window - 1) + column
        self.register_buffer("relative_position_index", index)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, cells: Tensor, apart: Tensor) -> Tensor:
        """cells: [window², C] of one window, apart: bool [window², window²] → [window², C]."""
        count, width = cells.shape
        head_width = width // self.heads
        query, key, value = self.qkv(cells).split(width, dim=1)
        outputs = []
        for head in range(self.heads):
            part = slice(head * head_width, (head + 1) * head_width)
            logits = query[:, part] @ key[:, part].T * head_width**-0.5
            bias = self.relative_position_bias_table[self.relative_position_index.flatten(), head]
            logits = logits + bias.view(count, count)
            logits = torch.where(apart, logits - 100.0, logits)
            outputs.append(logits.softmax(1) @ value[:, part])
        return self.proj(torch.cat(outputs, dim=1))


class Mlp(nn.Module):
    """Feed-forward part."""

    def __init__(self, width: int) -> None:
        """Keeps the published names fc1 and fc2."""
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: float […, C] → same shape."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Windows, shifted or not, and a feed-forward part."""

    def __init__(self, width: int, heads: int, window: int, shift: int) -> None:
        """Builds one block."""
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def attend(self, x: Tensor) -> Tensor:
        """x: normed [H, W, C] → same shape; every cell is fetched from where the roll put it."""
        height, width, channels = x.shape
        side = self.window
        rows, columns = -(-height // side) * side, -(-width // side) * side
        padded = torch.zeros(rows, columns, channels)
        padded[:height, :width] = x
        result = torch.zeros_like(padded)
        for top in range(0, rows, side):
            for left in range(0, columns, side):
                y = (torch.arange(top, top + side) + self.shift).repeat_interleave(side)
                z = (torch.arange(left, left + side) + self.shift).repeat(side)
                # Cells that came round the border are strangers to those that did not.
                around = 2 * (y >= rows).long() + (z >= columns).long()
                apart = around[:, None] != around[None, :]
                y, z = y % rows, z % columns
                result[y, z] = self.attn(padded[y, z], apart)
        return result[:height, :width]

    def forward(self, x: Tensor) -> Tensor:
        """x: [H, W, C] → same shape."""
        x = x + self.attend(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Merging(nn.Module):
    """Two by two cells into one."""

    def __init__(self, width: int) -> None:
        """Keeps the published names."""
        super().__init__()
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [H, W, C] → [⌈H/2⌉, ⌈W/2⌉, 2C]."""
        height, width, channels = x.shape
        out = torch.zeros(-(-height // 2), -(-width // 2), 4 * channels)
        for place, (dy, dx) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            part = x[dy::2, dx::2]
            out[: part.shape[0], : part.shape[1], place * channels : (place + 1) * channels] = part
        return self.reduction(self.norm(out))


class Stage(nn.Module):
    """Blocks, and what leads to the next stage."""

    def __init__(self, width: int, depth: int, heads: int, window: int, last: bool) -> None:
        """Builds one stage."""
        super().__init__()
        self.blocks = nn.ModuleList(
            [Block(width, heads, window, window // 2 if i % 2 else 0) for i in range(depth)]
        )
        self.downsample = None if last else Merging(width)


class PatchEmbed(nn.Module):
    """Patches as tokens."""

    def __init__(self, width: int) -> None:
        """Four pixels a side."""
        super().__init__()
        self.proj = nn.Conv2d(3, width, 4, stride=4)
        self.norm = nn.LayerNorm(width)


class Swin(nn.Module):
    """The backbone."""

    def __init__(self, width: int, depths: list[int], heads: list[int], window: int) -> None:
        """Builds four stages."""
        super().__init__()
        self.patch_embed = PatchEmbed(width)
        self.layers = nn.ModuleList(
            [Stage(width * 2**i, depths[i], heads[i], window, last=i == 3) for i in range(4)]
        )
        for i in range(4):
            self.add_module(f"norm{i}", nn.LayerNorm(width * 2**i))

    def forward(self, image: Tensor) -> list[Tensor]:
        """image: [1, 3, H, W], multiples of 4 → res2 to res5, [1, C, h, w]."""
        x = self.patch_embed.norm(self.patch_embed.proj(image)[0].permute(1, 2, 0))
        features = []
        for i, stage in enumerate(self.layers):
            for block in stage.blocks:
                x = block(x)
            features.append(getattr(self, f"norm{i}")(x).permute(2, 0, 1)[None])
            if stage.downsample is not None:
                x = stage.downsample(x)
        return features
