"""CLIP's vision transformer: an image to its class token and its patch tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.patches import patch_map
from lexiseg_models.parts.transformer_block import TransformerBlock


@dataclass(frozen=True)
class VisionTransformerConfig:
    """Shape of a CLIP vision transformer.

    Attributes:
        patch: side of a patch, pixels.
        grid: patches along a side of the images it was trained on.
        width: of the residual stream.
        heads: of each attention.
        layers: number of blocks.
        activation: "gelu" (LAION weights) or "quick_gelu" (OpenAI weights).
    """

    patch: int
    grid: int
    width: int
    heads: int
    layers: int
    activation: str


def patch_positions(places: Tensor, trained: int, height: int, width: int) -> Tensor:
    """Position embeddings of the patches of a grid, [height * width, W].

    The trained grid is resampled (antialiased bicubic, as open_clip and timm do); the grid it was
    trained on is given as it is.

    Args:
        places: [trained * trained, W].
        trained: patches along a side of the images it was trained on.
        height: of the grid, patches.
        width: likewise.
    """
    if height == trained and width == trained:
        return places
    square = places.view(1, trained, trained, -1).permute(0, 3, 1, 2)
    resized = F.interpolate(
        square.to(torch.float32), size=[height, width], mode="bicubic", antialias=True
    )
    return resized[0].flatten(1).t().to(places.dtype)


def grid_positions(table: Tensor, trained: int, height: int, width: int) -> Tensor:
    """As `patch_positions`, of a table whose first row is the class token's: it stays first.

    Args:
        table: [1 + trained * trained, W].
        trained: patches along a side of the images it was trained on.
        height: of the grid, patches.
        width: likewise.

    Returns:
        [1 + height * width, W].
    """
    if height == trained and width == trained:
        return table
    return torch.cat([table[:1], patch_positions(table[1:], trained, height, width)])


class VisionTransformer(nn.Module):
    """Patches of any grid, denser than the patch size if asked for."""

    def __init__(self, config: VisionTransformerConfig, *, embedding_dim: int) -> None:
        """Initialised as CLIP was: normal tables by width."""
        super().__init__()
        width = config.width
        self.patch: int = config.patch
        self.grid: int = config.grid
        self.patches = nn.Conv2d(3, width, config.patch, stride=config.patch, bias=False)
        self.class_token = nn.Parameter(torch.empty(width))
        self.position_embedding = nn.Parameter(torch.empty(config.grid**2 + 1, width))
        self.norm_input = LayerNorm(width)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width=width, heads=config.heads, activation=config.activation, causal=False
            )
            for _ in range(config.layers)
        )
        self.norm = LayerNorm(width)
        self.projection = nn.Parameter(torch.empty(width, embedding_dim))
        for table in (self.class_token, self.position_embedding, self.projection):
            nn.init.normal_(table, std=width**-0.5)

    def positions(self, height: int, width: int) -> Tensor:
        """Position embeddings of a grid: [1 + height * width, W], the class token's first.

        See `grid_positions`.
        """
        return grid_positions(self.position_embedding, self.grid, height, width)

    def forward(self, image: Tensor, stride: int, normed: bool = True) -> Tuple[Tensor, Tensor]:
        """Tokens after the last norm, before the projection.

        A stride below the patch size samples more densely with the same weights and the same
        scale of objects (the stride trick of PACL, arXiv 2212.04994): the grid has
        1 + (H - patch) // stride rows, and what is left at the right and the bottom is not seen.

        Args:
            image: normalised [B, 3, H, W]; both sides at least a patch.
            stride: pixels from one patch to the next, 1 to the patch size.
            normed: False gives both as the last block leaves them.

        Returns:
            the class token [B, width] and the patch tokens [B, width, h, w].
        """
        if stride < 1 or stride > self.patch:
            raise ValueError("Expected stride to be 1 to the patch size")
        x = patch_map(image, self.patches.weight, None, stride)
        height, width = x.shape[2], x.shape[3]
        tokens = self._begin(x.flatten(2).transpose(1, 2), self.positions(height, width))
        for block in self.blocks:
            tokens = block(tokens)
        if normed:
            tokens = self.norm(tokens)
        grid = tokens[:, 1:].transpose(1, 2).reshape(tokens.shape[0], -1, height, width)
        return tokens[:, 0], grid

    def _begin(self, patches: Tensor, positions: Tensor) -> Tensor:
        """The class token and the patches [N, L, width], where they are: [N, 1 + L, width]."""
        first = self.class_token.to(patches.dtype).expand(patches.shape[0], 1, -1)
        return self.norm_input(torch.cat([first, patches], dim=1) + positions.to(patches.dtype))

    def embed_images(self, image: Tensor) -> Tensor:
        """Image embeddings; the last block is asked for the class token alone.

        Args:
            image: normalised [B, 3, H, W]; both sides at least a patch.

        Returns:
            float32 [B, D], unit norm.
        """
        x = patch_map(image, self.patches.weight, None, self.patch)
        positions = self.positions(x.shape[2], x.shape[3])
        tokens = self._begin(x.flatten(2).transpose(1, 2), positions)
        for block in self.blocks[:-1]:
            # TorchScript calls no module of a slice.
            tokens = block.forward(tokens)
        return self.embed(self.norm(self.blocks[-1].first(tokens)))

    def embed_regions(self, regions: Tensor, seen: Tensor, prompts: Tensor) -> Tensor:
        """Image embeddings of regions whose blank patches are replaced by learned tokens.

        The replacement at the input comes before the positions; those after the first blocks
        overwrite whole tokens. The class token is never replaced (arXiv 2210.04150, sec. 3.3).

        Args:
            regions: normalised [N, 3, patch * grid, patch * grid].
            seen: [N, grid * grid, 1], 1 where a patch shows any of its region, else 0.
            prompts: [depth, grid * grid, width]; no depth leaves blank patches as they are.

        Returns:
            float32 [N, D], unit norm.
        """
        x = patch_map(regions, self.patches.weight, None, self.patch)
        tokens = x.flatten(2).transpose(1, 2)
        seen, prompts = seen.to(tokens.dtype), prompts.to(tokens.dtype)
        depth = prompts.shape[0]
        if depth > 0:
            tokens = seen * tokens + (1.0 - seen) * prompts[0]
        tokens = self._begin(tokens, self.position_embedding)
        for i, block in enumerate(self.blocks[:-1]):
            tokens = block.forward(tokens)
            if i + 1 < depth:
                shown = seen * tokens[:, 1:] + (1.0 - seen) * prompts[i + 1]
                tokens = torch.cat([tokens[:, :1], shown], dim=1)
        return self.embed(self.norm(self.blocks[-1].first(tokens)))

    def embed(self, class_token: Tensor) -> Tensor:
        """Image embeddings [B, D], unit norm, of class tokens [B, width]."""
        return F.normalize((class_token @ self.projection).to(torch.float32), dim=1)
