"""Mean of features under binary masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pool_masks(features: Tensor, mask_logits: Tensor) -> Tensor:
    """Mean feature of the pixels with a positive logit; zero for an empty mask.

    Args:
        features: [B, C, h, w].
        mask_logits: [B, Q, H, W], before sigmoid, on the features' grid or a finer one; on a finer
            one, a feature weighs as much as the share of its cell that is inside. No gradient flows
            into them.

    Returns:
        float32 [B, Q, C].
    """
    height, width = features.shape[2:]
    if mask_logits.shape[2] == height and mask_logits.shape[3] == width:
        return torch.ops.lexiseg.mask_pooling(features, mask_logits)
    inside = (mask_logits > 0).to(torch.float32)
    cover = F.adaptive_avg_pool2d(inside, [height, width]).flatten(2)
    total = cover.sum(dim=2, keepdim=True)
    cover = cover / torch.where(total > 0, total, torch.ones_like(total))
    return cover @ features.to(torch.float32).flatten(2).transpose(1, 2)
