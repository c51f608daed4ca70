"""Where the patches of a vision transformer lie in the image they were cut from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class DenseConfig:
    """How patches become a map of classes.

    Attributes:
        embedder: "residual" (PACL's vision embedder) or "projection" (CLIP's own, untrained).
        embedder_start: of a residual one: "random", or near CLIP's own "projection".
        stride: pixels from one patch to the next, 1 to the patch size.
        exact: scores lie at the centres of patches (True), or their grid is resized to the image.
        final_norm: take patch tokens after the tower's last norm, or as its last block leaves them.
    """

    embedder: str
    embedder_start: Literal["random", "projection"]
    stride: int
    exact: bool
    final_norm: bool


class PatchGrid(nn.Module):
    """Where the patches of a vision transformer lie in the network input.

    Patch i is centred at patch / 2 + i * stride pixels. With a stride below the patch size the
    outermost centres lie half a patch inside the image, so a grid that is simply resized to the
    image is up to (patch - stride) / 2 pixels off near its border.
    """

    def __init__(self, *, patch: int, stride: int, exact: bool) -> None:
        """There are no parameters.

        Args:
            patch: side of a patch, pixels.
            stride: pixels from one patch to the next.
            exact: patches stay where they are; False lays their grid over the whole input.
        """
        super().__init__()
        self.patch: int = patch
        self.stride: int = stride
        self.exact: bool = exact

    def forward(self, maps: Tensor, height: int, width: int) -> Tensor:
        """What the cells of a grid fill, each `stride` pixels wide, its patch's centre its own.

        Args:
            maps: [B, C, h, w] on the patches.
            height: of the network input, pixels.
            width: likewise.

        Returns:
            float32 [4]: top, left, height, width, pixels of the network input.
        """
        if not self.exact:
            return torch.tensor([0.0, 0.0, float(height), float(width)], dtype=torch.float32)
        margin = 0.5 * (self.patch - self.stride)
        rows, columns = self.stride * maps.shape[2], self.stride * maps.shape[3]
        return torch.tensor([margin, margin, float(rows), float(columns)], dtype=torch.float32)
