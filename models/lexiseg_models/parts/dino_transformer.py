"""DINO's and DINOv2's vision transformer: an image to its class token and its patch tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import torch
from torch import Tensor, nn

from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.patches import patch_map
from lexiseg_models.parts.transformer_block import TransformerBlock
from lexiseg_models.parts.vision_transformer import grid_positions

_NORM_EPS = 1e-6


@dataclass(frozen=True)
class DinoTransformerConfig:
    """Shape of a vision transformer that learned without texts.

    Attributes:
        patch: side of a patch, pixels.
        grid: patches along a side of the images it was trained on.
        width: of the residual stream.
        heads: of each attention.
        layers: number of blocks.
        prefix_tokens: the class token and the registers, which have no place (arXiv 2309.16588);
            1 for DINO and the first DINOv2, which have none.
        layer_scale: whether branches are scaled, as in DINOv2 (arXiv 2304.07193).
    """

    patch: int
    grid: int
    width: int
    heads: int
    layers: int
    prefix_tokens: int
    layer_scale: bool


class DinoTransformer(nn.Module):
    """Patches of any grid, denser than the patch size if asked for; no space of texts."""

    def __init__(self, config: DinoTransformerConfig) -> None:
        """Small random tables."""
        super().__init__()
        width = config.width
        self.patch: int = config.patch
        self.grid: int = config.grid
        self.prefix_tokens: int = config.prefix_tokens
        self.patches = nn.Conv2d(3, width, config.patch, stride=config.patch)
        self.class_token = nn.Parameter(0.02 * torch.randn(width))
        self.position_embedding = nn.Parameter(0.02 * torch.randn(config.grid**2 + 1, width))
        registers = config.prefix_tokens - 1
        if registers > 0:
            self.register_tokens = nn.Parameter(0.02 * torch.randn(registers, width))
        else:
            none = torch.empty(0, width, device="cpu")
            self.register_buffer("register_tokens", none, persistent=False)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width=width,
                heads=config.heads,
                activation="gelu",
                causal=False,
                layer_scale=config.layer_scale,
                norm_eps=_NORM_EPS,
            )
            for _ in range(config.layers)
        )
        self.norm = LayerNorm(width, eps=_NORM_EPS)

    def forward(self, image: Tensor, stride: int, normed: bool = True) -> Tuple[Tensor, Tensor]:
        """Tokens after the last norm; strides as `VisionTransformer` takes them.

        Args:
            image: normalised [B, 3, H, W]; both sides at least a patch.
            stride: pixels from one patch to the next, 1 to the patch size.
            normed: False gives both as the last block leaves them.

        Returns:
            the class token [B, width] and the patch tokens [B, width, h, w].
        """
        if stride < 1 or stride > self.patch:
            raise ValueError("Expected stride to be 1 to the patch size")
        x = patch_map(image, self.patches.weight, self.patches.bias, stride)
        batch, height, width = x.shape[0], x.shape[2], x.shape[3]
        tokens = x.flatten(2).transpose(1, 2)
        first = self.class_token.to(tokens.dtype).expand(batch, 1, -1)
        positions = grid_positions(self.position_embedding, self.grid, height, width)
        tokens = torch.cat([first, tokens], dim=1) + positions.to(tokens.dtype)
        # Registers have no place: they come between the class token and the patches afterwards.
        registers = self.register_tokens.to(tokens.dtype).expand(batch, -1, -1)
        parts: List[Tensor] = [tokens[:, :1], registers, tokens[:, 1:]]
        tokens = torch.cat(parts, dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        if normed:
            tokens = self.norm(tokens)
        patches = tokens[:, self.prefix_tokens :].transpose(1, 2)
        return tokens[:, 0], patches.reshape(batch, -1, height, width)
