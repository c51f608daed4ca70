"""CLIP's text tower: token ids to text embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear
from lexiseg_models.parts.transformer_block import TransformerBlock


@dataclass(frozen=True)
class TextEncoderConfig:
    """Shape of a CLIP text tower.

    Attributes:
        width: of the residual stream.
        token_width: of the token table; a projection follows where it is not `width`.
        heads: of each attention.
        layers: number of blocks.
        context_length: most tokens of a prompt.
        vocabulary_size: rows of the token table.
        activation: "gelu" (LAION weights) or "quick_gelu" (OpenAI weights).
    """

    width: int
    token_width: int
    heads: int
    layers: int
    context_length: int
    vocabulary_size: int
    activation: str


class TextEncoder(nn.Module):
    """Token embedding, causal transformer, projection of the end token."""

    def __init__(self, config: TextEncoderConfig, *, embedding_dim: int) -> None:
        """Initialised as CLIP was: small normal tables, projection by width."""
        super().__init__()
        self.context_length: int = config.context_length
        self.vocabulary_size: int = config.vocabulary_size
        self.token_embedding = nn.Embedding(config.vocabulary_size, config.token_width)
        # A narrow table keeps a small bundle small: it holds a row for every token there is.
        self.token_projection: nn.Module = nn.Identity()
        if config.token_width != config.width:
            self.token_projection = Linear(config.token_width, config.width, bias=False)
        self.position_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.blocks = nn.ModuleList(
            TransformerBlock(
                width=config.width, heads=config.heads, activation=config.activation, causal=True
            )
            for _ in range(config.layers)
        )
        self.norm = LayerNorm(config.width)
        self.projection = nn.Parameter(torch.empty(config.width, embedding_dim))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding, std=0.01)
        nn.init.normal_(self.projection, std=config.width**-0.5)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Text embeddings of prompts.

        Attention is causal and the embedding is read at the end token (the largest id), so the
        padding after it has no influence and L may be any length up to the context length.

        Args:
            token_ids: int64 [N, L].

        Returns:
            float32 [N, D], unit norm.
        """
        if token_ids.dim() != 2 or token_ids.dtype != torch.int64:
            raise ValueError("Expected token_ids to be int64 [N, L]")
        length = token_ids.shape[1]
        if length < 1 or length > self.context_length:
            raise ValueError("Expected token_ids to hold 1 to context_length tokens per row")
        tokens = self.token_projection(self.token_embedding(token_ids))
        x = tokens + self.position_embedding[:length]
        for block in self.blocks:
            x = block(x)
        rows = torch.arange(token_ids.shape[0], device=token_ids.device)
        end = self.norm(x[rows, token_ids.argmax(dim=1)])
        return F.normalize((end @ self.projection).to(torch.float32), dim=1)
