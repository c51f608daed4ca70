"""Contrastive loss over pooled patches (PACL, arXiv 2212.04994, sec. 3)."""

from __future__ import annotations

from typing import Dict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.ops import load_ops


def compatibility(patches: Tensor, text: Tensor, sharpness: float) -> Tensor:
    """How well each image fits each text, when the text says which patches count.

    Every text pools the patches of an image by its own weights, softmax over patches of
    `sharpness` times the cosines; the result is the cosine of that pooled vector and the text.
    The pooled vectors themselves are never made: their lengths follow from the Gram matrix of the
    patches.

    Args:
        patches: embedded patches [B, T, D], not normalised.
        text: text embeddings [N, D], unit norm.
        sharpness: of the softmax; 0 takes all patches alike.

    Returns:
        float32 cosines [B, N].
    """
    # Below this the length of a pooled vector is noise.
    shortest = 1e-6
    # Autocast leaves float64 alone: learning needs more of these products than 8 bits.
    exact = torch.float64 if patches.requires_grad else torch.float32
    patches, text = patches.to(exact), text.to(exact)
    products = torch.einsum("btd,nd->bnt", patches, text)
    lengths = torch.linalg.vector_norm(patches, dim=[2]).clamp(min=shortest)
    weights = (sharpness * products / lengths.unsqueeze(1)).softmax(dim=2)
    gram = patches @ patches.transpose(1, 2)
    squared = ((weights @ gram) * weights).sum(dim=2)
    cosines = (weights * products).sum(dim=2) / squared.clamp(min=shortest**2).sqrt()
    return cosines.to(torch.float32)


def _said_by_another(texts: Tensor) -> Tensor:
    """Bool [N, N]: two pairs have one text, which is no wrong one for either image."""
    alike = 1.0 - 1e-6
    # Autocast leaves float64 alone.
    exact = texts.detach().to(torch.float64)
    same = exact @ exact.t() > alike
    return same & ~torch.eye(same.shape[0], dtype=torch.bool, device=same.device)


class PatchAlignment(nn.Module):
    """InfoNCE in both directions over the compatibility of all images with all texts."""

    def __init__(self, sharpness: float) -> None:
        """Loads the operators that gather from other ranks; there are no parameters."""
        super().__init__()
        load_ops()
        if sharpness < 0:
            raise ValueError(f"Expected 0 or more for sharpness but received {sharpness}")
        self.sharpness: float = sharpness

    def forward(self, patches: Tensor, text: Tensor, scale: Tensor) -> Dict[str, Tensor]:
        """Losses; each pair's own partner is right, and others that say something else are wrong.

        Args:
            patches: embedded patches [B, T, D] of this rank.
            text: text embeddings [B, D], unit norm, of the same pairs.
            scale: scalar, of the cosines.

        Returns:
            `image_to_text` and `text_to_image`, each half a mean cross entropy.
        """
        texts = torch.ops.lexiseg.gather_ranks(text)
        rows = compatibility(patches, texts, self.sharpness)
        logits = scale * torch.ops.lexiseg.gather_ranks(rows)
        logits = logits.masked_fill(_said_by_another(texts), -1e30)
        target = torch.arange(logits.shape[0], device=logits.device)
        return {
            "image_to_text": 0.5 * F.cross_entropy(logits, target),
            "text_to_image": 0.5 * F.cross_entropy(logits.t(), target),
        }
