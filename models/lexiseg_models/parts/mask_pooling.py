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
    return torch.ops.lexiseg.mask_pooling(features, mask_logits)
