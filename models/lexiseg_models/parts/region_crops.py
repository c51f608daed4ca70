"""Masked crops of an image for CLIP, and tokens for what is blank (arXiv 2210.04150)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class RegionConfig:
    """How proposals become images for CLIP.

    Attributes:
        threshold: probability above which a pixel belongs to a region, 0..1.
        prompts: replace blank patches by learned tokens; without, CLIP sees them as they are.
        prompt_depth: layers at which they are replaced.
        chunk: regions embedded together, which bounds the memory.
        mean: of CLIP's input, per RGB channel on the 0-255 scale; blank pixels have it.
        std: likewise.
    """

    threshold: float
    prompts: bool
    prompt_depth: int
    chunk: int
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]


class MaskPrompts(nn.Module):
    """Learned tokens in place of blank patches, one for each place and depth."""

    def __init__(self, *, depth: int, cells: int, width: int) -> None:
        """Small random numbers, as for training from the start; no parameter for depth 0."""
        super().__init__()
        if depth > 0:
            self.tokens = nn.Parameter(0.02 * torch.randn(depth, cells, width))
        else:
            # No checkpoint has it, so that it must not begin on the meta device.
            none = torch.empty(0, cells, width, device="cpu")
            self.register_buffer("tokens", none, persistent=False)


class RegionCrops(nn.Module):
    """Cuts out each proposal and blanks what is not its own."""

    def __init__(self, config: RegionConfig, *, patch: int, grid: int) -> None:
        """`patch` and `grid` are those of the image tower; there are no parameters."""
        super().__init__()
        self.side: int = patch * grid
        self.patch: int = patch
        self.mean: List[float] = list(config.mean)
        self.std: List[float] = list(config.std)
        # A probability is above the threshold where its logit is above this.
        self.least_logit: float = math.log(config.threshold / (1.0 - config.threshold))

    def normalise(self, image: Tensor) -> Tensor:
        """uint8 [H, W, 3] to CLIP's input, float32 [3, H, W]."""
        return self.normalise_batch(image.unsqueeze(0))[0]

    def normalise_batch(self, images: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to CLIP's input, float32 [B, 3, H, W]."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=images.device)
        std = torch.tensor(self.std, dtype=torch.float32, device=images.device)
        return (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)

    def masked(self, images: Tensor) -> Tuple[Tensor, Tensor]:
        """Masked crops whose blank pixels have the colour (124, 116, 103), warped to CLIP's square.

        Args:
            images: uint8 [B, H, W, 3].

        Returns:
            float32 [B, 3, side, side], normalised and zero where blank, and masks
            [B, 1, side, side] of zeros and ones.
        """
        blank = torch.tensor([124, 116, 103], dtype=torch.uint8, device=images.device)
        shown = (images != blank).any(dim=3).unsqueeze(1).to(torch.float32)
        pixels = self.normalise_batch(images) * shown
        if images.shape[1] != self.side or images.shape[2] != self.side:
            size = [self.side, self.side]
            pixels = F.interpolate(pixels, size=size, mode="bicubic", align_corners=False)
            shown = F.interpolate(shown, size=size, mode="nearest")
        return pixels, shown

    def inside(self, mask_logits: Tensor, padded: List[int], height: int, width: int) -> Tensor:
        """Pixels of one proposal: bool [height, width].

        Args:
            mask_logits: float32 [h, w] over the padded network input.
            padded: height and width of that input.
            height: of the image inside it.
            width: likewise.
        """
        logits = F.interpolate(
            mask_logits.unsqueeze(0).unsqueeze(0), size=padded, mode="bilinear", align_corners=False
        )
        return logits[0, 0, :height, :width] > self.least_logit

    def crop(self, pixels: Tensor, inside: Tensor) -> Tensor:
        """A region and its mask, warped to CLIP's square without keeping the aspect.

        Args:
            pixels: float32 [3, H, W], normalised.
            inside: bool [H, W] with a true.

        Returns:
            float32 [4, side, side]: the region, zero where it is blank, and its mask.
        """
        rows = inside.any(dim=1).nonzero()[:, 0]
        columns = inside.any(dim=0).nonzero()[:, 0]
        top, bottom = int(rows[0].item()), int(rows[-1].item()) + 1
        left, right = int(columns[0].item()), int(columns[-1].item()) + 1
        mask = inside[top:bottom, left:right].to(torch.float32).unsqueeze(0).unsqueeze(0)
        # Blank pixels hold the mean, which is zero here.
        region = pixels[:, top:bottom, left:right].unsqueeze(0) * mask
        size = [self.side, self.side]
        warped = F.interpolate(region, size=size, mode="bicubic", align_corners=False)
        return torch.cat((warped, F.interpolate(mask, size=size, mode="nearest")), dim=1)[0]

    def seen_patches(self, masks: Tensor) -> Tensor:
        """1 where a patch shows any of its region: [N, cells, 1] of masks [N, 1, side, side]."""
        return F.max_pool2d(masks, self.patch).flatten(2).transpose(1, 2)
