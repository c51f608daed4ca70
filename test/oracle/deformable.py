"""Multi-scale deformable attention by grid_sample, and the encoder made of it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import DecoderConfig

Sizes = list[tuple[int, int]]


class MSDeformAttn(nn.Module):
    """Multi-scale deformable attention over three levels."""

    def __init__(self, width: int, levels: int, heads: int, points: int) -> None:
        """Builds the four projections with the published names."""
        super().__init__()
        self.levels, self.heads, self.points = levels, heads, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)

    def forward(self, query: Tensor, reference: Tensor, source: Tensor, sizes: Sizes) -> Tensor:
        """query, source [B, S, C]; reference [S, 2] (x, y) in 0…1; → [B, S, C]."""
        batch, length, width = query.shape
        heads, levels, points = self.heads, self.levels, self.points
        value = self.value_proj(source).view(batch, -1, heads, width // heads)
        offsets = self.sampling_offsets(query).view(batch, length, heads, levels, points, 2)
        weights = self.attention_weights(query).view(batch, length, heads, levels * points)
        weights = weights.softmax(-1)
        scale = torch.tensor([[w, h] for h, w in sizes], dtype=query.dtype)
        locations = reference[None, :, None, None, None] + offsets / scale[:, None]
        sampled = sample_levels(value, sizes, locations)
        weights = weights.transpose(1, 2).reshape(batch * heads, 1, length, levels * points)
        mixed = (sampled * weights).sum(-1).view(batch, width, length)
        return self.output_proj(mixed.transpose(1, 2))


def sample_levels(value: Tensor, sizes: Sizes, locations: Tensor) -> Tensor:
    """Bilinear samples, zeros outside.

    value [B, S, M, Dh], locations [B, Lq, M, L, P, 2] in 0…1 → [B*M, Dh, Lq, L*P].
    """
    batch, _, heads, depth = value.shape
    grids = 2 * locations - 1
    samples = []
    for level, part in enumerate(value.split([h * w for h, w in sizes], dim=1)):
        height, width = sizes[level]
        image = part.permute(0, 2, 3, 1).reshape(batch * heads, depth, height, width)
        grid = grids[:, :, :, level].transpose(1, 2).flatten(0, 1)
        samples.append(
            functional.grid_sample(
                image, grid, mode="bilinear", padding_mode="zeros", align_corners=False
            )
        )
    return torch.cat(samples, dim=-1)


def reference_points(sizes: Sizes) -> Tensor:
    """Pixel centres of all levels, (x, y) in 0…1: float [S, 2]."""
    points = []
    for height, width in sizes:
        y = (torch.arange(height) + 0.5) / height
        x = (torch.arange(width) + 0.5) / width
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        points.append(torch.stack([grid_x, grid_y], dim=-1).view(-1, 2))
    return torch.cat(points)


class EncoderLayer(nn.Module):
    """Deformable attention and feed-forward, post-norm."""

    def __init__(self, config: DecoderConfig) -> None:
        """Builds one layer."""
        super().__init__()
        width = config.hidden_dim
        self.self_attn = MSDeformAttn(width, 3, config.heads, config.points)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, config.encoder_feedforward_dim)
        self.linear2 = nn.Linear(config.encoder_feedforward_dim, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, source: Tensor, position: Tensor, reference: Tensor, sizes: Sizes) -> Tensor:
        """source, position [B, S, C] → [B, S, C]; the position is added to the query only."""
        attended = self.self_attn(source + position, reference, source, sizes)
        source = self.norm1(source + attended)
        return self.norm2(source + self.linear2(functional.relu(self.linear1(source))))


class Encoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(self, config: DecoderConfig) -> None:
        """All layers are copies of one shape."""
        super().__init__()
        layer = EncoderLayer(config)
        self.layers = nn.ModuleList([copy.deepcopy(layer) for _ in range(config.encoder_layers)])


class DeformableTransformer(nn.Module):
    """`transformer` of the pixel decoder: level embeddings and the encoder."""

    def __init__(self, config: DecoderConfig) -> None:
        """Builds the encoder."""
        super().__init__()
        self.level_embed = nn.Parameter(torch.zeros(3, config.hidden_dim))
        self.encoder = Encoder(config)

    def forward(self, maps: list[Tensor], positions: list[Tensor]) -> list[Tensor]:
        """maps, positions: three [B, C, h, w], coarse to fine → three maps of the same shapes."""
        sizes = [(m.shape[-2], m.shape[-1]) for m in maps]
        source = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)
        position = torch.cat(
            [p.flatten(2).transpose(1, 2) + self.level_embed[i] for i, p in enumerate(positions)],
            dim=1,
        )
        reference = reference_points(sizes)
        for layer in self.encoder.layers:
            source = layer(source, position, reference, sizes)
        parts = source.split([h * w for h, w in sizes], dim=1)
        return [p.transpose(1, 2).reshape(m.shape) for p, m in zip(parts, maps, strict=True)]
