"""Dense layers through the native operator, which picks the fastest product the build has."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor, nn

from lexiseg_models.ops import load_ops

ACTIVATIONS = ("none", "relu", "gelu", "quick_gelu")


def linear(x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    """Product of x [..., C] and the transpose of weight [N, C], plus bias [N]: [..., N]."""
    return torch.ops.lexiseg.linear(x, weight, bias, "none")


class Linear(nn.Linear):
    """A dense layer with its activation in one step; parameters as nn.Linear has them."""

    def __init__(
        self, in_width: int, width: int, *, bias: bool = True, activation: str = "none"
    ) -> None:
        """`activation` is one of ACTIVATIONS; "gelu" is the exact one, "quick_gelu" OpenAI's."""
        super().__init__(in_width, width, bias=bias)
        if activation not in ACTIVATIONS:
            raise ValueError(f"Expected one of {ACTIVATIONS} for activation: {activation}")
        load_ops()
        self.activation: str = activation

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_width] to [..., width] in x's dtype."""
        return torch.ops.lexiseg.linear(x, self.weight, self.bias, self.activation)
