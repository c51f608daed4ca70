"""Queries to embeddings in the space of texts, with the step in between that a teacher shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.linear import Linear


@dataclass(frozen=True)
class ClassHeadConfig:
    """Shape of the head.

    Attributes:
        prior_width: of what stands between queries and texts.
    """

    prior_width: int


class ClassHead(nn.Module):
    """Query to prior, ReLU, prior to text space (arXiv 2303.09181, sec. 3)."""

    def __init__(self, config: ClassHeadConfig, *, width: int, embedding_dim: int) -> None:
        """`width` is that of queries, `embedding_dim` that of text embeddings."""
        super().__init__()
        self.prior = Linear(width, config.prior_width)
        self.projection = Linear(config.prior_width, embedding_dim)

    def embed(self, prior: Tensor) -> Tensor:
        """float32 [..., D], unit norm, of priors [..., prior_width]."""
        return F.normalize(self.projection(F.relu(prior)).float(), dim=-1)

    def forward(self, queries: Tensor) -> Tensor:
        """float32 [..., D], unit norm, of queries [..., width]."""
        return self.embed(self.prior(queries))
