"""Maps on the grid of a vision transformer's patches, laid over the image they were cut from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class DenseConfig:
    """How patches become a map of classes.

    Attributes:
        embedder: "residual" (PACL's vision embedder) or "projection" (CLIP's own, untrained).
        embedder_start: of a residual one: "random", or near CLIP's own "projection".
        stride: pixels from one patch to the next, 1 to the patch size.
        exact: sample scores at patch centres (True), or resize the grid as if it filled the image.
        final_norm: take patch tokens after the tower's last norm, or as its last block leaves them.
    """

    embedder: str
    embedder_start: Literal["random", "projection"]
    stride: int
    exact: bool
    final_norm: bool


class PatchGrid(nn.Module):
    """Brings maps from patch centres to cells of `stride` pixels that fill the network input.

    Patch i is centred at patch / 2 + i * stride pixels. With a stride below the patch size the
    outermost centres lie half a patch inside the image, so a grid that is simply resized to the
    image is up to (patch - stride) / 2 pixels off near its border. The cells are read between again
    when they are laid over the image: they lie where they should, and are smoother than patches, by
    as much as the mean of two neighbours where patch / stride is even.
    """

    def __init__(self, *, patch: int, stride: int, exact: bool) -> None:
        """There are no parameters.

        Args:
            patch: side of a patch, pixels.
            stride: pixels from one patch to the next.
            exact: read maps at the true centres; False gives the grid as it is.
        """
        super().__init__()
        self.patch: int = patch
        self.stride: int = stride
        self.exact: bool = exact

    def covered(self, pixels: int) -> int:
        """How far the cells of a side of the network input reach, pixels: never short of it."""
        return -(-pixels // self.stride) * self.stride if self.exact else pixels

    def places(self, cells: int, patches: int) -> Tensor:
        """Where the centres of cells lie among the patches: float32 [cells], 0..patches - 1."""
        centres = (torch.arange(cells, dtype=torch.float32) + 0.5) * self.stride
        return ((centres - 0.5 * self.patch) / self.stride).clamp(0.0, float(patches - 1))

    def forward(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Bilinear values at the centres of cells; the border's repeat outside.

        Args:
            maps: float32 [B, C, h, w] on the patches.
            height: of the network input, pixels.
            width: likewise.

        Returns:
            float32 [B, C, covered(height) / stride, covered(width) / stride], or `maps` where
            nothing is to move.
        """
        whole = self.stride == self.patch and height % self.patch == 0 and width % self.patch == 0
        if not self.exact or whole:
            return maps
        rows, columns = maps.shape[2], maps.shape[3]
        y = self.places(self.covered(height) // self.stride, rows).to(maps.device)
        x = self.places(self.covered(width) // self.stride, columns).to(maps.device)
        # grid_sample's coordinates with aligned corners: -1 and 1 are the outermost patches.
        v = 2.0 * y / max(rows - 1, 1) - 1.0
        u = 2.0 * x / max(columns - 1, 1) - 1.0
        grid = torch.stack(
            (u.unsqueeze(0).expand(v.shape[0], -1), v.unsqueeze(1).expand(-1, u.shape[0])), dim=2
        )
        return F.grid_sample(
            maps,
            grid.unsqueeze(0).expand(maps.shape[0], -1, -1, -1),
            mode="bilinear",
            padding_mode="border",
            align_corners=True,
        )
