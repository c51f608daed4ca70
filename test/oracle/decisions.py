"""Signs of logits, which the network asks for nothing but.

A logit within rounding of zero is decided by the order of additions: two correct programs differ
there, and all that follows from the decision differs with it. To compare what does not hang on
rounding, the oracle can take such a decision as another run took it, and no other decision.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

# Of the largest logit: what a logit of these networks differs by between orders of addition is
# up to 4e-6 of it (float32 against float64, RN50 and ConvNeXt-L).
ROUNDING = 1e-5


class Decisions:
    """What another run decided, by name: nothing, unless it is told."""

    def __init__(self, taken: Mapping[str, Tensor] | None = None) -> None:
        """Bool tensors: `visible 0`… [B, Q, S], `inside` and `coarse` [B, Q, h, w]."""
        self.taken = taken or {}
        self.changed = 0
        self.count = 0

    def settle(self, inside: Tensor, logits: Tensor, name: str) -> Tensor:
        """`inside`, bool, except where `logits` lie within rounding of zero; same shapes."""
        taken = self.taken.get(name)
        if taken is None:
            return inside
        magnitude = logits.abs()
        near = magnitude <= ROUNDING * magnitude.max()
        settled = torch.where(near, taken.view_as(inside), inside)
        self.changed += int((settled != inside).sum())
        self.count += settled.numel()
        return settled
