"""Masked-attention query decoder: queries look at the memory inside their current masks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.attention import Mlp, MultiHeadAttention
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear, dot_products
from lexiseg_models.parts.position_encoding import sine_position_encoding

_LEVELS = 3


@dataclass(frozen=True)
class TransformerDecoderConfig:
    """Shape of the query decoder.

    Attributes:
        queries: number of masks proposed.
        width: of queries, memory and mask features.
        heads: of each attention.
        layers: each looks at one memory level, in turn.
        feed_forward: hidden width of a layer's MLP.
    """

    queries: int
    width: int
    heads: int
    layers: int
    feed_forward: int


class DecoderLayer(nn.Module):
    """Masked cross attention, self attention, MLP; a residual and a norm after each."""

    def __init__(self, config: TransformerDecoderConfig) -> None:
        """Xavier-uniform; what all queries share starts small, so that they stay apart."""
        super().__init__()
        width = config.width
        self.cross_attention = MultiHeadAttention(width=width, heads=config.heads)
        self.norm_cross = LayerNorm(width)
        self.self_attention = MultiHeadAttention(width=width, heads=config.heads)
        self.norm_self = LayerNorm(width)
        self.expand = Linear(width, config.feed_forward, activation="relu")
        self.project = Linear(config.feed_forward, width)
        self.norm_mlp = LayerNorm(width)
        for attention in (self.cross_attention, self.self_attention):
            nn.init.xavier_uniform_(attention.out.weight, gain=0.1)
        nn.init.xavier_uniform_(self.expand.weight)
        nn.init.xavier_uniform_(self.project.weight)

    def forward(
        self, queries: Tensor, position: Tensor, key: Tensor, value: Tensor, visible: Tensor
    ) -> Tensor:
        """Updated queries: [B, Q, width].

        Args:
            queries: [B, Q, width].
            position: [Q, width], code of the queries.
            key: memory with positions, [B, S, width].
            value: memory, [B, S, width].
            visible: bool [B, 1, Q, S].
        """
        seen = self.cross_attention.attend_memory(queries + position, key, value, visible)
        queries = self.norm_cross.of_sum(queries, seen)
        mixed = self.self_attention.attend_self(queries + position, queries)
        queries = self.norm_self.of_sum(queries, mixed)
        return self.norm_mlp.of_sum(queries, self.project(self.expand(queries)))


class TransformerDecoder(nn.Module):
    """Queries to query embeddings and mask logits.

    Before a layer only the visible part of its memory is needed, not a whole prediction.
    Resizing is linear, so the mask features are resized once per level and the masks are formed
    there: the same numbers as resizing every mask, at a fraction of the work.
    """

    def __init__(self, config: TransformerDecoderConfig) -> None:
        """Queries and their positional codes are standard normal."""
        super().__init__()
        width = config.width
        self.width: int = width
        self.query_content = nn.Embedding(config.queries, width)
        self.query_position = nn.Embedding(config.queries, width)
        self.level_embedding = nn.Embedding(_LEVELS, width)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = LayerNorm(width)
        self.mask_embedding = Mlp(width=width, out_width=width)

    def mask_logits(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        """Masks of normed queries over any resolution of the mask features.

        Args:
            normed: [B, Q, width], after the shared norm.
            mask_features: [B, width, N].

        Returns:
            [B, Q, N], before sigmoid, in the dtype of the mask features.
        """
        return dot_products(self.mask_embedding(normed).to(mask_features.dtype), mask_features)

    def full_mask_logits(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        """Masks of normed queries: float32 [B, Q, h, w], from mask features [B, width, h, w]."""
        logits = self.mask_logits(normed, mask_features.flatten(2)).to(torch.float32)
        batch, queries = logits.shape[0], logits.shape[1]
        return logits.view(batch, queries, mask_features.shape[2], mask_features.shape[3])

    def visible(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        """Where each query may look: bool [B, 1, Q, S], never a row without a true.

        Args:
            normed: [B, Q, width], after the shared norm.
            mask_features: [B, width, S], resized to the level that is looked at.
        """
        logits = self.mask_logits(normed, mask_features).detach()
        # Where no logit is inside, all are visible.
        least = torch.where(logits.amax(dim=2, keepdim=True) >= 0, 0.0, -math.inf)
        return (logits >= least).unsqueeze(1)

    def memory(self, maps: List[Tensor]) -> Tuple[List[Tensor], List[Tensor]]:
        """Keys and values of each level, [B, S, width], from maps [B, width, h, w]."""
        keys: List[Tensor] = []
        values: List[Tensor] = []
        for i, x in enumerate(maps):
            code = sine_position_encoding(x.shape[2], x.shape[3], self.width, x.device)
            value = x.flatten(2).transpose(1, 2) + self.level_embedding.weight[i].to(x.dtype)
            keys.append(value + code.to(x.dtype))
            values.append(value)
        return keys, values

    def decode(self, mask_features: Tensor, maps: List[Tensor]) -> List[Tensor]:
        """Normed queries [B, Q, width] before the first layer and after every layer.

        Args:
            mask_features: [B, width, h, w] at stride 4.
            maps: memory [B, width, h, w] at strides 32, 16, 8.
        """
        keys, values = self.memory(maps)
        resized: List[Tensor] = []
        for x in maps:
            small = F.interpolate(
                mask_features, size=x.shape[2:], mode="bilinear", align_corners=False
            )
            resized.append(small.flatten(2))
        position = self.query_position.weight
        batch = mask_features.shape[0]
        queries = self.query_content.weight.unsqueeze(0).expand(batch, -1, -1)
        normed = [self.norm(queries)]
        for i, layer in enumerate(self.layers):
            level = i % len(maps)
            visible = self.visible(normed[-1], resized[level])
            queries = layer(queries, position, keys[level], values[level], visible)
            normed.append(self.norm(queries))
        return normed

    def forward(self, mask_features: Tensor, maps: List[Tensor]) -> Tuple[Tensor, Tensor]:
        """The final prediction.

        Args:
            mask_features: [B, width, h, w] at stride 4.
            maps: memory [B, width, h, w] at strides 32, 16, 8.

        Returns:
            Normed query embeddings [B, Q, width] and mask logits float32 [B, Q, h, w].
        """
        normed = self.decode(mask_features, maps)[-1]
        return normed, self.full_mask_logits(normed, mask_features)
