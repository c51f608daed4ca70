"""Multi-head attention with packed projections, and the small MLP of the decoder heads."""

from __future__ import annotations

from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.ops import load_ops
from lexiseg_models.parts.linear import Linear, linear


def attend(
    query: Tensor, key: Tensor, value: Tensor, causal: bool, factors: Optional[Tensor] = None
) -> Tensor:
    """Scaled dot product attention, by the fastest of three ways.

    Args:
        query: [B, heads, N, C].
        key: [B, heads, S, C].
        value: [B, heads, S, C].
        causal: whether a position sees only itself and what precedes it.
        factors: of the weights, [B, heads, N, S], where some are dropped.

    Returns:
        [B, heads, N, C].
    """
    # Up to so many keys the way back through PyTorch's fused attention is slower, in bfloat16 on a
    # CPU, than through plain products: 145 ms where they take 15 (192 images of 65 tokens).
    short = 448
    learns = torch.is_grad_enabled() and query.requires_grad and query.dtype == torch.bfloat16
    if factors is None and (not learns or query.is_cuda or key.shape[2] > short):
        if causal:
            return F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return torch.ops.lexiseg.attention(query, key, value)
    scores = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
    if causal:
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -float("inf"))
    weights = scores.softmax(dim=3)
    if factors is not None:
        weights = weights * factors
    return weights.to(value.dtype) @ value


class MultiHeadAttention(nn.Module):
    """Attention whose query, key and value projections are stacked in one matrix."""

    def __init__(self, *, width: int, heads: int) -> None:
        """Xavier-uniform projections, zero biases."""
        super().__init__()
        load_ops()
        if width % heads != 0:
            raise ValueError(f"Expected width to be a multiple of {heads} but received {width}")
        self.width: int = width
        self.heads: int = heads
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = Linear(width, width)
        nn.init.xavier_uniform_(self.in_weight)
        nn.init.zeros_(self.out.bias)

    def _split(self, x: Tensor) -> Tensor:
        """[B, N, width] to [B, heads, N, width / heads]."""
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def _merge(self, x: Tensor) -> Tensor:
        """[B, heads, N, width / heads] to [B, N, width]."""
        return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], self.width)

    def attend_self(
        self, positioned: Tensor, content: Tensor, factors: Optional[Tensor] = None
    ) -> Tensor:
        """Self attention with positions in query and key only.

        Args:
            positioned: [B, N, width], content plus positional code.
            content: [B, N, width].
            factors: of the weights, [B, heads, N, N], where some are dropped.
        """
        width = self.width
        query_key = linear(positioned, self.in_weight[: 2 * width], self.in_bias[: 2 * width])
        value = linear(content, self.in_weight[2 * width :], self.in_bias[2 * width :])
        query, key = [self._split(part) for part in query_key.chunk(2, dim=2)]
        mixed = attend(query, key, self._split(value), False, factors)
        return self.out(self._merge(mixed))

    def attend_within(self, content: Tensor, causal: bool) -> Tensor:
        """Self attention; `causal` when a position sees only itself and what precedes it.

        Args:
            content: [B, N, width].
            causal: of everything or of the past.
        """
        query, key, value = linear(content, self.in_weight, self.in_bias).chunk(3, dim=2)
        mixed = attend(self._split(query), self._split(key), self._split(value), causal)
        return self.out(self._merge(mixed))

    def attend_first(self, content: Tensor) -> Tensor:
        """What `attend_within` gives at the first position, [B, width], which sees all.

        Args:
            content: [B, N, width].
        """
        width = self.width
        query = linear(content[:, :1], self.in_weight[:width], self.in_bias[:width])
        key_value = linear(content, self.in_weight[width:], self.in_bias[width:])
        key, value = key_value.chunk(2, dim=2)
        mixed = attend(self._split(query), self._split(key), self._split(value), causal=False)
        return self.out(self._merge(mixed)[:, 0])

    def attend_memory(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        visible: Optional[Tensor] = None,
        factors: Optional[Tensor] = None,
    ) -> Tensor:
        """Cross attention; memory keeps its own dtype, queries keep theirs.

        The memory is long and the queries are few, so the products over the memory run in the
        memory's dtype (bfloat16 when the runtime chose it) while the query stream may stay
        float32. Casting the two weight slices costs nothing beside them.

        Args:
            query: [B, Q, width].
            key: [B, S, width].
            value: [B, S, width].
            visible: bool [B, 1, Q, S], true where a query may look; every row has a true.
            factors: of the weights, [B, heads, Q, S], where some are dropped; all are visible then.
        """
        width = self.width
        dtype = key.dtype
        weight = self.in_weight.to(dtype)
        bias = self.in_bias.to(dtype)
        projected = linear(query, self.in_weight[:width], self.in_bias[:width]).to(dtype)
        keys = linear(key, weight[width : 2 * width], bias[width : 2 * width])
        values = linear(value, weight[2 * width :], bias[2 * width :])
        heads = self._split(projected)
        if visible is not None:
            mixed = F.scaled_dot_product_attention(
                heads, self._split(keys), self._split(values), attn_mask=visible
            )
        else:
            mixed = attend(heads, self._split(keys), self._split(values), False, factors)
        return self.out(self._merge(mixed).to(query.dtype))


class Mlp(nn.Module):
    """Three linear layers with ReLU between them."""

    def __init__(self, *, width: int, out_width: int) -> None:
        """Hidden layers are as wide as the input; initialised to keep variance and angles."""
        super().__init__()
        self.layers = nn.ModuleList(
            [
                Linear(width, width, activation="relu"),
                Linear(width, width, activation="relu"),
                Linear(width, out_width),
            ]
        )
        for i, layer in enumerate(self.layers):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            with torch.no_grad():
                # A ReLU has a mean near one half here. Left in, it would draw all embeddings
                # together, layer by layer.
                layer.bias.copy_(layer.weight.sum(dim=1) * (-0.5 if i > 0 else 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., out_width]."""
        for layer in self.layers:
            x = layer(x)
        return x
