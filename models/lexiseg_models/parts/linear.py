"""Dense layers through the native operator, which picks the fastest product the build has."""

from __future__ import annotations

from typing import List, Optional

import torch
from torch import Tensor, nn

from lexiseg_models.ops import load_ops

ACTIVATIONS = ("none", "relu", "gelu", "quick_gelu")


def linear(x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    """Product of x [..., C] and the transpose of weight [N, C], plus bias [N]: [..., N]."""
    return torch.ops.lexiseg.linear(x, weight, bias, "none")


def dot_products(rows: Tensor, columns: Tensor) -> Tensor:
    """Products of rows [B, M, C] with columns [B, C, N]: [B, M, N], contiguous.

    On a CPU, columns that lie one after another, as the pixels of a channels-last map do, are read
    where they lie: a batched product would copy them into rows first.
    """
    learns = torch.is_grad_enabled() and (rows.requires_grad or columns.requires_grad)
    if learns or columns.is_cuda:
        return torch.bmm(rows, columns)
    if rows.shape[0] == 1:
        return linear(rows[0], columns[0].t(), None).unsqueeze(0)
    products: List[Tensor] = []
    for i in range(rows.shape[0]):
        products.append(linear(rows[i], columns[i].t(), None))
    return torch.stack(products)


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
