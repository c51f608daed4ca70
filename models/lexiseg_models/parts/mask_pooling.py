"""Mean of features under binary masks."""

from __future__ import annotations

import torch
from torch import Tensor


def pool_masks(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean feature of the pixels with a positive logit; zero for an empty mask.

    Args:
        features: [B, C, h, w].
        mask_logits: [B, Q, h, w], before sigmoid; no gradient flows into them.

    Returns:
        float32 [B, Q, C].
    """
    inside = (mask_logits.detach() > 0).flatten(2)
    area = inside.sum(dim=2, keepdim=True).to(torch.float32)
    total = torch.bmm(inside.to(features.dtype), features.flatten(2).transpose(1, 2))
    return total.to(torch.float32) / (area + 1e-8)
