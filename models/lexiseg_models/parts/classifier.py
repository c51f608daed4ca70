"""Cosine classifier over class embeddings: synonym maximum, a learned void row."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.attention import Mlp
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear
from lexiseg_models.parts.mask_pooling import pool_masks


def synonym_maximum(logits: Tensor, synonym_counts: Tensor) -> Tensor:
    """Largest logit of each class over its consecutive synonyms.

    Args:
        logits: [..., S].
        synonym_counts: int64 [K], each at least 1, summing to S.

    Returns:
        [..., K].
    """
    classes = synonym_counts.shape[0]
    owners = torch.repeat_interleave(
        torch.arange(classes, device=synonym_counts.device), synonym_counts
    )
    if owners.shape[0] != logits.shape[-1]:
        raise ValueError("Expected synonym_counts to sum to the number of class embeddings")
    shape = list(logits.shape[:-1]) + [classes]
    index = owners.expand(logits.shape)
    lowest = torch.full(shape, -math.inf, dtype=logits.dtype, device=logits.device)
    return lowest.scatter_reduce(-1, index, logits, "amax")


class CosineClassifier(nn.Module):
    """Scaled cosines between embeddings and classes; the scale is capped at 100."""

    def __init__(self, *, scale: float, learned: bool = True) -> None:
        """The scale starts at `scale`, kept as its logarithm; not `learned`, it stays there."""
        super().__init__()
        start = torch.tensor(math.log(scale))
        if learned:
            self.logit_scale = nn.Parameter(start)
        else:
            self.register_buffer("logit_scale", start)

    def forward(self, embeddings: Tensor, class_embeddings: Tensor) -> Tensor:
        """Logits before the synonym maximum.

        Args:
            embeddings: float32 [B, Q, D], unit norm.
            class_embeddings: float32 [S, D], unit norm.

        Returns:
            float32 [B, Q, S].
        """
        # Autocast leaves float64 alone: a cosine times 100 needs more than bfloat16's 8 bits.
        if embeddings.requires_grad:
            cosines = embeddings.to(torch.float64) @ class_embeddings.to(torch.float64).t()
            return self.scale() * cosines.to(torch.float32)
        return self.scale() * (embeddings @ class_embeddings.t())

    def scale(self) -> Tensor:
        """The factor on cosines: float32 scalar."""
        return self.logit_scale.to(torch.float32).exp().clamp(max=100.0)


class VoidEmbedding(nn.Module):
    """A learned class embedding for "none of these"."""

    def __init__(self, *, embedding_dim: int, std: float = 1.0) -> None:
        """Normal with `std`; the longer it is, the slower its direction learns."""
        super().__init__()
        self.weight = nn.Parameter(std * torch.randn(1, embedding_dim))

    def forward(self) -> Tensor:
        """float32 [1, D], unit norm."""
        return F.normalize(self.weight.to(torch.float32), dim=1)


class RegionEmbedder(nn.Module):
    """In-vocabulary embedding: the query plus the mask features averaged under its mask."""

    def __init__(self, *, width: int, embedding_dim: int) -> None:
        """`width` is that of queries and mask features."""
        super().__init__()
        self.norm = LayerNorm(width)
        self.pooled = Linear(width, width)
        self.embedding = Mlp(width=width, out_width=embedding_dim)

    def forward(self, normed: Tensor, mask_features: Tensor, mask_logits: Tensor) -> Tensor:
        """Embeddings in text space.

        Args:
            normed: [B, Q, width], queries after the decoder's norm.
            mask_features: [B, width, h, w].
            mask_logits: [B, Q, h, w], before sigmoid; no gradient flows into them.

        Returns:
            float32 [B, Q, D], unit norm.
        """
        pooled = pool_masks(mask_features, mask_logits).to(self.norm.weight.dtype)
        region = self.pooled(self.norm(pooled)) + normed
        return F.normalize(self.embedding(region).to(torch.float32), dim=2)
