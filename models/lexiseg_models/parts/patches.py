"""Images cut into patches by a strided convolution, the input of vision transformers."""

from __future__ import annotations

from typing import Optional

import torch.nn.functional as F
from torch import Tensor


def patch_map(image: Tensor, weight: Tensor, bias: Optional[Tensor], stride: int) -> Tensor:
    """Embeddings of patches: [B, W, h, w], with h = 1 + (H - patch) // stride and w likewise.

    What is left at the right and at the bottom is not seen; an image smaller than a patch is filled
    up to one with zeros.

    Args:
        image: [B, 3, H, W].
        weight: [W, 3, patch, patch]; its dtype is that of the result.
        bias: [W], or none.
        stride: pixels from one patch to the next.
    """
    patch = weight.shape[3]
    x = image.to(weight.dtype)
    # LibTorch 2.13 reads memory that nobody wrote where bfloat16 gives a map one column wide.
    narrow = x.shape[3] < patch + stride
    right = patch + stride - x.shape[3] if narrow else 0
    below = max(patch - x.shape[2], 0)
    if right > 0 or below > 0:
        x = F.pad(x, [0, right, 0, below])
    found = F.conv2d(x, weight, bias, stride=[stride, stride])
    return found[:, :, :, :1] if narrow else found
