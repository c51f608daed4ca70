"""The vision embedder of patch-aligned contrastive learning (arXiv 2212.04994, app. A.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.parts.linear import Linear


class PatchEmbedder(nn.Module):
    """Two linear layers with a ReLU between, and a linear way around them, on each patch alone."""

    def __init__(self, *, in_width: int, out_width: int) -> None:
        """Fresh layers; `out_width` is that of the text embeddings."""
        super().__init__()
        self.expand = Linear(in_width, out_width)
        self.project = Linear(out_width, out_width)
        self.shortcut = Linear(in_width, out_width)

    @torch.no_grad()
    def start_near(self, projection: Tensor) -> None:
        """Begins with `projection` [in_width, out_width] as the way around, and little beside."""
        self.shortcut.weight.copy_(projection.t())
        self.shortcut.bias.zero_()
        for tensor in (self.project.weight, self.project.bias):
            tensor.mul_(0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        """[..., in_width] to [..., out_width], not normalised."""
        return self.project(F.relu(self.expand(tokens))) + self.shortcut(tokens)
