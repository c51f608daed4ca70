"""Deformable pixel decoder: the feature pyramid to mask features and three memory maps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.ops import load_ops
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear
from lexiseg_models.parts.position_encoding import pixel_centres, sine_position_encoding

_LEVELS = 3


@dataclass(frozen=True)
class PixelDecoderConfig:
    """Shape of the pixel decoder.

    Attributes:
        width: channels of tokens, mask features and memory.
        heads: of each deformable attention.
        points: sampling points per head and level.
        layers: of the deformable encoder.
        feed_forward: hidden width of a layer's MLP.
        groups: of every GroupNorm.
    """

    width: int
    heads: int
    points: int
    layers: int
    feed_forward: int
    groups: int


class DeformableAttention(nn.Module):
    """Each token samples a few learned points of every level."""

    def __init__(self, config: PixelDecoderConfig) -> None:
        """Offsets start as a star of `heads` directions and growing reach, weights as equal."""
        super().__init__()
        width, heads, points = config.width, config.heads, config.points
        self.heads: int = heads
        self.points: int = points
        self.levels: int = _LEVELS
        self.offsets = Linear(width, heads * _LEVELS * points * 2)
        self.logits = Linear(width, heads * _LEVELS * points)
        self.value = Linear(width, width)
        self.out = Linear(width, width)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.logits.weight)
        nn.init.zeros_(self.logits.bias)
        for linear in (self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        angle = torch.arange(heads, dtype=torch.float32) * (2.0 * math.pi / heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=1)
        direction = direction / direction.abs().amax(dim=1, keepdim=True)
        reach = torch.arange(1, points + 1, dtype=torch.float32)
        star = direction[:, None, None, :] * reach[None, None, :, None]
        with torch.no_grad():
            self.offsets.bias.copy_(star.expand(heads, _LEVELS, points, 2).reshape(-1))

    def forward(
        self, tokens: Tensor, positioned: Tensor, shapes: List[int], centres: Tensor
    ) -> Tensor:
        """Attention output before the residual: [B, S, width].

        Args:
            tokens: [B, S, width], all levels one after another.
            positioned: tokens plus positional code.
            shapes: heights and widths of the levels, [h0, w0, h1, w1, h2, w2].
            centres: float32 [S, 2], normalised (x, y) of each token.
        """
        batch, count = tokens.shape[0], tokens.shape[1]
        value = self.value(tokens).view(batch, count, self.heads, -1)
        offsets = self.offsets(positioned).view(
            batch, count, self.heads, self.levels, self.points, 2
        )
        logits = self.logits(positioned).view(batch, count, self.heads, -1)
        sampled = torch.ops.lexiseg.ms_deform_attn(value, shapes, centres, offsets, logits)
        return self.out(sampled)


class EncoderLayer(nn.Module):
    """Deformable attention and MLP, each with a residual and a norm after it."""

    def __init__(self, config: PixelDecoderConfig) -> None:
        """MLP weights are Xavier-uniform."""
        super().__init__()
        self.attention = DeformableAttention(config)
        self.norm_attention = LayerNorm(config.width)
        self.expand = Linear(config.width, config.feed_forward, activation="relu")
        self.project = Linear(config.feed_forward, config.width)
        self.norm_mlp = LayerNorm(config.width)
        nn.init.xavier_uniform_(self.expand.weight)
        nn.init.xavier_uniform_(self.project.weight)

    def forward(
        self, tokens: Tensor, position: Tensor, shapes: List[int], centres: Tensor
    ) -> Tensor:
        """[B, S, width] to the same shape; `position` is [S, width] in the tokens' dtype."""
        mixed = self.attention(tokens, tokens + position, shapes, centres)
        tokens = self.norm_attention.of_sum(tokens, mixed)
        return self.norm_mlp.of_sum(tokens, self.project(self.expand(tokens)))


class NormedConv(nn.Module):
    """Convolution, then GroupNorm."""

    def __init__(self, in_width: int, width: int, *, kernel: int, groups: int, bias: bool) -> None:
        """Xavier-uniform weights, zero bias."""
        super().__init__()
        self.conv = nn.Conv2d(in_width, width, kernel, padding=kernel // 2, bias=bias)
        self.norm = nn.GroupNorm(groups, width)
        nn.init.xavier_uniform_(self.conv.weight)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[B, Cin, h, w] to [B, C, h, w]."""
        return self.norm(self.conv(x))


class PixelDecoder(nn.Module):
    """Deformable encoder over strides 32, 16, 8, then one top-down step to stride 4."""

    def __init__(self, config: PixelDecoderConfig, *, in_widths: Sequence[int]) -> None:
        """`in_widths` are the channels of res2 to res5."""
        super().__init__()
        load_ops()
        width = config.width
        self.width: int = width
        # Level order is low to high resolution everywhere: res5, res4, res3.
        self.projections = nn.ModuleList(
            NormedConv(in_width, width, kernel=1, groups=config.groups, bias=True)
            for in_width in (in_widths[3], in_widths[2], in_widths[1])
        )
        self.level_embedding = nn.Parameter(torch.randn(_LEVELS, width))
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.lateral = NormedConv(in_widths[0], width, kernel=1, groups=config.groups, bias=False)
        self.output = NormedConv(width, width, kernel=3, groups=config.groups, bias=False)
        self.mask_features = nn.Conv2d(width, width, 1)
        nn.init.xavier_uniform_(self.mask_features.weight)
        with torch.no_grad():
            # The ReLU of a normed map has mean 0.4; taking it out gives untrained masks both signs.
            mean = self.mask_features.weight.sum(dim=(1, 2, 3)) * (2.0 * math.pi) ** -0.5
            self.mask_features.bias.copy_(-mean)

    def _encode(self, maps: List[Tensor]) -> List[Tensor]:
        """Runs the deformable encoder over maps [B, width, h, w]; same shapes back."""
        shapes: List[int] = []
        tokens: List[Tensor] = []
        positions: List[Tensor] = []
        centres: List[Tensor] = []
        for i, x in enumerate(maps):
            height, width = x.shape[2], x.shape[3]
            shapes.append(height)
            shapes.append(width)
            tokens.append(x.flatten(2).transpose(1, 2))
            code = sine_position_encoding(height, width, self.width, x.device)
            positions.append(code + self.level_embedding[i])
            centres.append(pixel_centres(height, width, x.device))
        mixed = torch.cat(tokens, dim=1)
        position = torch.cat(positions).to(mixed.dtype)
        centre = torch.cat(centres)
        for layer in self.layers:
            mixed = layer(mixed, position, shapes, centre)
        encoded: List[Tensor] = []
        start = 0
        for x in maps:
            height, width = x.shape[2], x.shape[3]
            count = height * width
            # Pixels first, then permuted: so even one image is known to lie channels-last.
            level = mixed[:, start : start + count].view(-1, height, width, self.width)
            encoded.append(level.permute(0, 3, 1, 2))
            start += count
        return encoded

    def forward(self, features: List[Tensor]) -> List[Tensor]:
        """Mask features and memory.

        Args:
            features: res2 to res5, [B, C, h, w] at strides 4, 8, 16, 32.

        Returns:
            Mask features [B, width, h, w] at stride 4, then memory maps of the same width at
            strides 32, 16, 8.
        """
        projected: List[Tensor] = []
        for i, projection in enumerate(self.projections):
            projected.append(projection(features[3 - i]))
        memory = self._encode(projected)
        lateral = self.lateral(features[0])
        raised = F.interpolate(
            memory[2], size=lateral.shape[2:], mode="bilinear", align_corners=False
        )
        mask_features = self.mask_features(F.relu(self.output(lateral + raised)))
        return [mask_features, memory[0], memory[1], memory[2]]
