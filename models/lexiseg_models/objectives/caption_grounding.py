"""Regions of images and words of their captions, found for each other (arXiv 2303.09181)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class CaptionGroundingConfig:
    """How images and captions are compared.

    Attributes:
        weight: of the loss; 0 reads no caption.
        regions: most regions of an image that are compared, those least like nothing at all.
        temperature: of the attention between words and regions.
    """

    weight: float
    regions: int
    temperature: float


def attended(cosines: Tensor, temperature: float) -> Tensor:
    """Mean over rows of the cosines in each, weighed by their own softmax: scalar of [N, M]."""
    weights = (cosines / temperature).softmax(dim=1)
    return (weights * cosines).sum(dim=1).mean()


class CaptionGrounding(nn.Module):
    """Symmetric contrast of the images and captions of a batch.

    An image and a caption are as alike as each word is to the regions that it attends to, and each
    region to its words, in equal parts.
    """

    def __init__(self, config: CaptionGroundingConfig) -> None:
        """Holds no weights."""
        super().__init__()
        self.weight: float = config.weight
        self.regions: int = config.regions
        self.temperature: float = config.temperature

    def choose(self, embeddings: Tensor, void_logits: Tensor) -> Tensor:
        """The regions to compare: [B, R, D] of [B, Q, D], by the least of [B, Q]."""
        count = min(self.regions, embeddings.shape[1])
        best = void_logits.topk(count, dim=1, largest=False).indices
        return embeddings.gather(1, best.unsqueeze(2).expand(-1, -1, embeddings.shape[2]))

    def forward(self, regions: Tensor, words: Tensor, counts: Tensor, scale: Tensor) -> Tensor:
        """The weighted loss; 0 where fewer than two captions have words.

        Args:
            regions: [B, R, D], unit norm.
            words: [W, D], unit norm, those of the first image's caption first.
            counts: int64 [B], words of each caption, summing to W.
            scale: of the contrast.
        """
        images: List[int] = []
        starts: List[int] = []
        ends: List[int] = []
        end = 0
        for image, many in enumerate(counts.unbind(0)):
            count = int(many.item())
            end += count
            if count > 0:
                images.append(image)
                starts.append(end - count)
                ends.append(end)
        if len(images) < 2:
            return regions.sum() * 0.0
        rows: List[Tensor] = []
        for image in images:
            scores: List[Tensor] = []
            for first, last in zip(starts, ends):
                cosines = words[first:last] @ regions[image].t()
                there = attended(cosines, self.temperature)
                back = attended(cosines.t(), self.temperature)
                scores.append((there + back) / 2.0)
            rows.append(torch.stack(scores))
        logits = scale * torch.stack(rows)
        own = torch.arange(len(images), device=logits.device)
        both = F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)
        return self.weight * both / 2.0
