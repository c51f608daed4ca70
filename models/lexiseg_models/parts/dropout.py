"""Dropout from seeds: what an image loses depends on its own seed alone, on any device or rank."""

from __future__ import annotations

from typing import List, Optional

import torch
from torch import Tensor, nn

from lexiseg_models.uniform_points import mix_seeds, uniform_points


class Dropout(nn.Module):
    """Sets a share of the values to zero and enlarges the others by as much."""

    def __init__(self, rate: float) -> None:
        """`rate` is the share, from 0 to less than 1."""
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"Expected a rate of 0 to less than 1 but received {rate}")
        self.rate: float = rate

    def factors(self, shape: List[int], seeds: Optional[Tensor], place: int) -> Optional[Tensor]:
        """What values are multiplied by, float32 of `shape`: 0, or 1 / (1 - rate).

        Args:
            shape: [B, ...].
            seeds: int64 [B]; none, as at inference, changes nothing.
            place: of this use among those of a seed.

        Returns:
            The factors, or none where nothing is to change.
        """
        if seeds is None or self.rate == 0.0:
            return None
        count = 1
        for side in shape[1:]:
            count *= side
        chance = uniform_points(mix_seeds(seeds, place), (count + 1) // 2).flatten(1)
        kept = (chance[:, :count] >= self.rate).to(torch.float32)
        return (kept / (1.0 - self.rate)).view(shape)

    def forward(self, x: Tensor, seeds: Optional[Tensor], place: int) -> Tensor:
        """X [B, ...] times its factors; arguments as of `factors`."""
        factors = self.factors(x.shape, seeds, place)
        return x if factors is None else x * factors.to(x.dtype)

    def drop_images(self, x: Tensor, seeds: Optional[Tensor], place: int) -> Tensor:
        """X [B, ...] times one factor for each image; arguments as of `factors`.

        On a residual branch this is stochastic depth (arXiv 1603.09382).
        """
        factors = self.factors([x.shape[0]] + [1] * (x.dim() - 1), seeds, place)
        return x if factors is None else x * factors.to(x.dtype)
