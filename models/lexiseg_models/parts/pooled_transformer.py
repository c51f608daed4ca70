"""A vision transformer whose patches are read by one learned query, as SigLIP's are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.attention import MultiHeadAttention
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear, linear
from lexiseg_models.parts.patches import patch_map
from lexiseg_models.parts.transformer_block import TransformerBlock
from lexiseg_models.parts.vision_transformer import patch_positions


@dataclass(frozen=True)
class PooledTransformerConfig:
    """Shape of an attention-pooled vision transformer.

    Attributes:
        patch: side of a patch, pixels.
        grid: patches along a side of the images that its table of positions is for.
        width: of the residual stream.
        heads: of each attention.
        layers: number of blocks before the pooling.
        activation: "gelu" or "quick_gelu".
    """

    patch: int
    grid: int
    width: int
    heads: int
    layers: int
    activation: str


class AttentionPool(nn.Module):
    """Tokens read by a learned query, then an MLP (arXiv 2106.04560, 2303.15343)."""

    def __init__(self, *, width: int, heads: int, activation: str) -> None:
        """A query of unit norm on average; Xavier projections."""
        super().__init__()
        self.heads: int = heads
        self.query = nn.Parameter(torch.empty(width))
        self.attention = MultiHeadAttention(width=width, heads=heads)
        self.norm = LayerNorm(width)
        self.expand = Linear(width, 4 * width, activation=activation)
        self.project = Linear(4 * width, width)
        nn.init.normal_(self.query, std=width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [B, L, W] to [B, W]."""
        scores, values = self._look(tokens)
        return self._read(scores, values)

    def of_parts(self, tokens: Tensor, owner: Tensor, cover: Tensor) -> Tensor:
        """Reads parts of what the tokens cover, each as if the rest were not there.

        Args:
            tokens: [B, L, W].
            owner: int64 [N], in 0..B-1: whose tokens a part is of.
            cover: [N, L], at least 0: what a token counts by; every row has a positive one.

        Returns:
            [N, W].
        """
        scores, values = self._look(tokens)
        return self._read(scores[owner] + cover.to(torch.float32).log().unsqueeze(1), values[owner])

    def _look(self, tokens: Tensor) -> Tuple[Tensor, Tensor]:
        """Scores float32 [B, heads, L] and values [B, heads, L, W / heads]."""
        weight, bias = self.attention.in_weight, self.attention.in_bias
        width = tokens.shape[2]
        query = linear(self.query, weight[:width], bias[:width]).view(self.heads, -1, 1)
        key_value = linear(tokens, weight[width:], bias[width:])
        key_value = key_value.view(tokens.shape[0], tokens.shape[1], 2, self.heads, -1)
        key, value = key_value.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (key @ query.to(key.dtype)).squeeze(3).to(torch.float32)
        return scores * key.shape[3] ** -0.5, value

    def _read(self, scores: Tensor, values: Tensor) -> Tensor:
        weights = scores.softmax(dim=2).to(values.dtype).unsqueeze(2)
        x = self.attention.out((weights @ values).flatten(1))
        return x + self.project(self.expand(self.norm(x)))


class PooledTransformer(nn.Module):
    """Patches of any grid, denser than the patch size if asked for; no token but patches."""

    def __init__(self, config: PooledTransformerConfig, *, embedding_dim: int) -> None:
        """Initialised as `VisionTransformer` is."""
        super().__init__()
        width = config.width
        self.patch: int = config.patch
        self.grid: int = config.grid
        self.patches = nn.Conv2d(3, width, config.patch, stride=config.patch, bias=False)
        self.position_embedding = nn.Parameter(torch.empty(config.grid**2, width))
        self.norm_input = LayerNorm(width)
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width=width, heads=config.heads, activation=config.activation, causal=False
            )
            for _ in range(config.layers)
        )
        self.norm = LayerNorm(width)
        self.pool = AttentionPool(width=width, heads=config.heads, activation=config.activation)
        self.projection = nn.Parameter(torch.empty(width, embedding_dim))
        for table in (self.position_embedding, self.projection):
            nn.init.normal_(table, std=width**-0.5)

    def _tokens(self, image: Tensor, stride: int) -> Tuple[Tensor, int, int]:
        """Patch tokens before the last norm [B, h * w, width], h and w."""
        if stride < 1 or stride > self.patch:
            raise ValueError("Expected stride to be 1 to the patch size")
        x = patch_map(image, self.patches.weight, None, stride)
        height, width = x.shape[2], x.shape[3]
        positions = patch_positions(self.position_embedding, self.grid, height, width)
        tokens = self.norm_input(x.flatten(2).transpose(1, 2) + positions.to(x.dtype))
        for block in self.blocks:
            tokens = block(tokens)
        return tokens, height, width

    def forward(self, image: Tensor, stride: int, normed: bool = True) -> Tuple[Tensor, Tensor]:
        """Tokens after the last norm, before the projection; strides as `VisionTransformer`'s.

        Args:
            image: normalised [B, 3, H, W]; both sides at least a patch.
            stride: pixels from one patch to the next, 1 to the patch size.
            normed: False gives the patch tokens as the last block leaves them.

        Returns:
            what is read from the patches [B, width], and the patch tokens [B, width, h, w].
        """
        tokens, height, width = self._tokens(image, stride)
        read = self.norm(tokens)
        given = read if normed else tokens
        grid = given.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)
        return self.pool(read), grid

    def embed_images(self, image: Tensor) -> Tensor:
        """Normalised images [B, 3, H, W] to embeddings float32 [B, D], unit norm."""
        tokens, _, _ = self._tokens(image, self.patch)
        return self._embed(self.pool(self.norm(tokens)))

    def embed_parts(self, image: Tensor, owner: Tensor, cover: Tensor) -> Tensor:
        """Embeddings of parts of images; patches outside a part are context and are not read.

        Args:
            image: normalised [B, 3, H, W].
            owner: int64 [N], in 0..B-1: the image that a part is of.
            cover: [N, h * w]: the share of each patch that is in the part, up to a factor.

        Returns:
            float32 [N, D], unit norm.
        """
        tokens, _, _ = self._tokens(image, self.patch)
        return self._embed(self.pool.of_parts(self.norm(tokens), owner, cover))

    def _embed(self, read: Tensor) -> Tensor:
        return F.normalize((read @ self.projection).to(torch.float32), dim=1)
