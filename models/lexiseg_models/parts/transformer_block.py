"""The block of CLIP's and DINO's transformers, of text and of image patches alike."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lexiseg_models.parts.attention import MultiHeadAttention
from lexiseg_models.parts.layer_norm import LayerNorm
from lexiseg_models.parts.linear import Linear

ACTIVATIONS = ("gelu", "quick_gelu")


class LayerScale(nn.Module):
    """Scales each channel of a branch (arXiv 2103.17239)."""

    def __init__(self, width: int) -> None:
        """A branch begins at a hundred-thousandth of itself."""
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to the same shape."""
        return x * self.gamma.to(x.dtype)


class TransformerBlock(nn.Module):
    """Pre-norm transformer block with a fourfold MLP."""

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        activation: str,
        causal: bool,
        layer_scale: bool = False,
        norm_eps: float = 1e-5,
    ) -> None:
        """A fresh block.

        Args:
            width: of the residual stream.
            heads: of the attention.
            activation: "gelu" (LAION weights) or "quick_gelu", x * sigmoid(1.702 x) (OpenAI's).
            causal: whether a position sees only itself and what precedes it.
            layer_scale: learn how much of each branch is added (DINOv2).
            norm_eps: of the layer norms.
        """
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"Expected gelu or quick_gelu for activation but received {activation}"
            )
        self.causal: bool = causal
        self.norm_attention = LayerNorm(width, eps=norm_eps)
        self.attention = MultiHeadAttention(width=width, heads=heads)
        self.norm_mlp = LayerNorm(width, eps=norm_eps)
        self.expand = Linear(width, 4 * width, activation=activation)
        self.project = Linear(4 * width, width)
        self.scale_attention: nn.Module = LayerScale(width) if layer_scale else nn.Identity()
        self.scale_mlp: nn.Module = LayerScale(width) if layer_scale else nn.Identity()
        nn.init.normal_(self.attention.in_weight, std=width**-0.5)
        nn.init.normal_(self.expand.weight, std=(2 * width) ** -0.5)
        for linear in (self.expand, self.project):
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[N, L, width] to the same shape."""
        attended = self.attention.attend_within(self.norm_attention(x), self.causal)
        return self._finish(x + self.scale_attention(attended))

    def first(self, x: Tensor) -> Tensor:
        """[N, L, width] to what `forward` gives at the first position, [N, width]; not causal."""
        attended = self.attention.attend_first(self.norm_attention(x))
        return self._finish(x[:, 0] + self.scale_attention(attended))

    def _finish(self, x: Tensor) -> Tensor:
        return x + self.scale_mlp(self.project(self.expand(self.norm_mlp(x))))
