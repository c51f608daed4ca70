"""Layer norm through the native operator, which adds the branch before it in the same pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lexiseg_models.ops import load_ops


class LayerNorm(nn.LayerNorm):
    """Norm over the last dimension; parameters as nn.LayerNorm has them."""

    def __init__(self, width: int, *, eps: float = 1e-5) -> None:
        """Scales of one, shifts of zero."""
        super().__init__(width, eps=eps)
        load_ops()

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        return torch.ops.lexiseg.layer_norm(x, self.weight, self.bias, self.eps)

    def of_sum(self, x: Tensor, branch: Tensor) -> Tensor:
        """The norm of `x` + `branch`, both [..., width]: the end of a post-norm branch."""
        return torch.ops.lexiseg.layer_norm(x, self.weight, self.bias, self.eps, branch)
