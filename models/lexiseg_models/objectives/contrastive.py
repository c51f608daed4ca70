"""Symmetric contrastive loss of image-text pairs (CLIP, arXiv 2103.00020, sec. 2.3)."""

from __future__ import annotations

from typing import Dict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.ops import load_ops


class Contrastive(nn.Module):
    """InfoNCE in both directions over the pairs of all ranks."""

    def __init__(self) -> None:
        """Loads the operators that gather from other ranks; there are no parameters."""
        super().__init__()
        load_ops()

    def forward(self, image: Tensor, text: Tensor, scale: Tensor) -> Dict[str, Tensor]:
        """Losses; each pair's own partner is right and all others are wrong.

        Args:
            image: image embeddings float32 [B, D], unit norm.
            text: text embeddings float32 [B, D], unit norm, of the same pairs.
            scale: scalar, of the cosines.

        Returns:
            `image_to_text` and `text_to_image`, each half a mean cross entropy.
        """
        images = torch.ops.lexiseg.gather_ranks(image)
        texts = torch.ops.lexiseg.gather_ranks(text)
        # Autocast leaves float64 alone: cosines times 100 need more than 8 bits.
        cosines = images.to(torch.float64) @ texts.to(torch.float64).t()
        logits = scale * cosines.to(torch.float32)
        target = torch.arange(logits.shape[0], device=logits.device)
        return {
            "image_to_text": 0.5 * F.cross_entropy(logits, target),
            "text_to_image": 0.5 * F.cross_entropy(logits.t(), target),
        }
