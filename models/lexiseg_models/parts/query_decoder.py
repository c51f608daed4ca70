"""DETR's decoder as MaskFormer uses it: queries look at one memory, post-norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

import torch
from torch import Tensor, nn

from lexiseg_models.parts.attention import Mlp, MultiHeadAttention
from lexiseg_models.parts.dropout import Dropout
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear, dot_products
from lexiseg_models.parts.position_encoding import sine_position_encoding


@dataclass(frozen=True)
class QueryDecoderConfig:
    """Shape of the decoder.

    Attributes:
        queries: number of masks proposed.
        width: of queries, memory and mask features.
        heads: of each attention.
        layers: number of layers.
        feed_forward: hidden width of a layer's MLP.
        class_width: hidden width of the class-embedding head.
        dropout: of attention weights, residual branches and MLPs while training, 0 to less than 1.
    """

    queries: int
    width: int
    heads: int
    layers: int
    feed_forward: int
    class_width: int
    dropout: float


# Uses of dropout in a layer.
_PLACES = 6


class QueryDecoderLayer(nn.Module):
    """Self attention, cross attention, MLP; a residual and a norm after each."""

    def __init__(self, config: QueryDecoderConfig, index: int) -> None:
        """Xavier-uniform; `index` is the layer's among the decoder's."""
        super().__init__()
        width = config.width
        self.heads: int = config.heads
        self.dropout = Dropout(config.dropout)
        self.place: int = _PLACES * index
        self.self_attention = MultiHeadAttention(width=width, heads=config.heads)
        self.norm_self = LayerNorm(width)
        self.cross_attention = MultiHeadAttention(width=width, heads=config.heads)
        self.norm_cross = LayerNorm(width)
        self.expand = Linear(width, config.feed_forward, activation="relu")
        self.project = Linear(config.feed_forward, width)
        self.norm_mlp = LayerNorm(width)
        for linear in (
            self.self_attention.out,
            self.cross_attention.out,
            self.expand,
            self.project,
        ):
            nn.init.xavier_uniform_(linear.weight)

    def forward(
        self,
        queries: Tensor,
        position: Tensor,
        key: Tensor,
        value: Tensor,
        seeds: Optional[Tensor] = None,
    ) -> Tensor:
        """Updated queries: [B, Q, width].

        Args:
            queries: [B, Q, width].
            position: [Q, width], code of the queries.
            key: memory with positions, [B, S, width].
            value: memory, [B, S, width].
            seeds: of dropout, int64 [B]; none at inference.
        """
        batch, count, at = queries.shape[0], queries.shape[1], self.place
        kept = self.dropout.factors([batch, self.heads, count, count], seeds, at)
        mixed = self.self_attention.attend_self(queries + position, queries, kept)
        queries = self.norm_self(queries + self.dropout(mixed, seeds, at + 1))
        kept = self.dropout.factors([batch, self.heads, count, key.shape[1]], seeds, at + 2)
        seen = self.cross_attention.attend_memory(queries + position, key, value, factors=kept)
        queries = self.norm_cross(queries + self.dropout(seen, seeds, at + 3))
        hidden = self.dropout(self.expand(queries), seeds, at + 4)
        return self.norm_mlp(queries + self.dropout(self.project(hidden), seeds, at + 5))


class QueryDecoder(nn.Module):
    """The coarsest map of a backbone to queries, their masks and their class embeddings."""

    def __init__(self, config: QueryDecoderConfig, *, in_width: int, embedding_dim: int) -> None:
        """`in_width` is that of res5, `embedding_dim` that of text embeddings."""
        super().__init__()
        width = config.width
        self.width: int = width
        self.input = nn.Conv2d(in_width, width, 1)
        nn.init.kaiming_uniform_(self.input.weight, a=1)
        nn.init.zeros_(self.input.bias)
        self.query_position = nn.Embedding(config.queries, width)
        self.layers = nn.ModuleList(QueryDecoderLayer(config, i) for i in range(config.layers))
        self.norm = LayerNorm(width)
        self.mask_embedding = Mlp(width=width, out_width=width)
        self.class_hidden = Linear(width, config.class_width, activation="relu")
        self.class_embedding = Linear(config.class_width, embedding_dim)

    def decode(self, coarsest: Tensor, seeds: Optional[Tensor] = None) -> List[Tensor]:
        """Normed queries [B, Q, width] after every layer, from res5 [B, C, h, w].

        `seeds`, int64 [B], are those of dropout; none at inference.
        """
        memory = self.input(coarsest.to(self.input.weight.dtype))
        height, width = memory.shape[2], memory.shape[3]
        code = sine_position_encoding(height, width, self.width, memory.device)
        value = memory.flatten(2).transpose(1, 2)
        key = value + code.to(value.dtype)
        position = self.query_position.weight
        queries = torch.zeros_like(position).unsqueeze(0).expand(memory.shape[0], -1, -1)
        normed: List[Tensor] = []
        for layer in self.layers:
            queries = layer(queries, position, key, value, seeds)
            normed.append(self.norm(queries))
        return normed

    def mask_logits(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        """Masks float32 [B, Q, h, w] of normed queries over mask features [B, width, h, w]."""
        embedding = self.mask_embedding(normed).to(mask_features.dtype)
        logits = dot_products(embedding, mask_features.flatten(2)).to(torch.float32)
        shape = [logits.shape[0], logits.shape[1], mask_features.shape[2], mask_features.shape[3]]
        return logits.view(shape)

    def class_embeddings(self, normed: Tensor) -> Tensor:
        """Embeddings in text space, not normalised: [B, Q, D] of normed queries."""
        return self.class_embedding(self.class_hidden(normed))
