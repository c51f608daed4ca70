"""A frozen CLIP beside a network in training, which embeds the true segments of its images."""

from __future__ import annotations

from typing import Any, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.objectives.mask_classification import Segments
from lexiseg_models.parts.preprocess import Preprocess

# The square that CLIP learned from, seven tokens wide.
_CROP_SIDE = 224


class RegionTeacher(nn.Module):
    """Embeds segments by the tokens under their masks, of whole images or of a crop for each."""

    def __init__(
        self, *, teacher: Tuple[Preprocess, nn.Module, nn.Module], crops: bool, **parts: Any
    ) -> None:
        """`teacher` is preprocessing, tower and region head; `parts` are those of the method.

        With `crops` each segment's box is warped to a square of 224 pixels and seen alone, which
        costs a pass of the tower for each.
        """
        super().__init__(**parts)
        self.teacher_preprocess, self.teacher_tower, self.region_head = teacher
        self.teacher_side: int = _CROP_SIDE if crops else 0

    def teacher_regions(self, images: Tensor, segments: Segments, width: int) -> Tensor:
        """The teacher's embeddings of the true segments: float32 [M, width], unit norm.

        Args:
            images: uint8 [B, H, W, 3] of the size the network sees.
            segments: the truth.
            width: of the space of texts.
        """
        with torch.no_grad():
            if segments.masks.shape[0] == 0:
                return torch.zeros([0, width], device=images.device)
            if self.teacher_side > 0:
                rows = self._of_crops(images, segments)
            else:
                rows = self._of_images(images, segments)
            return F.normalize(torch.cat(rows).to(torch.float32), dim=1)

    def _of_images(self, images: Tensor, segments: Segments) -> List[Tensor]:
        dense = self.teacher_tower(self.teacher_preprocess.normalise(images))[3]
        rows: List[Tensor] = []
        start = 0
        for image, count in enumerate(segments.counts):
            if count > 0:
                own = segments.masks[start : start + count].unsqueeze(0)
                rows.append(self._read(dense[image : image + 1], own)[0])
            start += count
        return rows

    def _of_crops(self, images: Tensor, segments: Segments) -> List[Tensor]:
        rows: List[Tensor] = []
        start = 0
        for image, count in enumerate(segments.counts):
            pixels: List[Tensor] = []
            masks: List[Tensor] = []
            for mask in segments.masks[start : start + count].unbind(0):
                square, own = _cropped(images[image], mask, self.teacher_side)
                pixels.append(square)
                masks.append(own)
            if count > 0:
                crops = self.teacher_preprocess.normalise(torch.stack(pixels))
                dense = self.teacher_tower(crops)[3]
                rows.append(self._read(dense, torch.stack(masks))[:, 0])
            start += count
        return rows

    def _read(self, dense: Tensor, masks: Tensor) -> Tensor:
        """Embeddings [B, Q, D] of masks [B, Q, H, W] over maps [B, C, h, w]."""
        cells = [dense.shape[2], dense.shape[3]]
        inside = F.adaptive_avg_pool2d(masks, cells) > 0.5
        # A segment that fills no cell by half keeps those that it touches.
        small = ~inside.flatten(2).any(dim=2).unsqueeze(2).unsqueeze(3)
        inside = inside | (small & (F.adaptive_max_pool2d(masks, cells) > 0.0))
        return self.region_head(dense, inside.to(torch.float32) - 0.5)


def _cropped(image: Tensor, mask: Tensor, side: int) -> Tuple[Tensor, Tensor]:
    """The box of a mask, warped to a square without keeping the aspect.

    Args:
        image: uint8 [H, W, 3].
        mask: float32 [H, W]; without a pixel, its box is the whole image.
        side: of the square, pixels.

    Returns:
        the image within, float32 [side, side, 3] on the 0-255 scale, and the mask [1, side, side].
    """
    rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
    top, bottom, left, right = 0, mask.shape[0], 0, mask.shape[1]
    if rows.shape[0] > 0:
        top, bottom = int(rows[0].item()), int(rows[-1].item()) + 1
        left, right = int(columns[0].item()), int(columns[-1].item()) + 1
    box = image[top:bottom, left:right].permute(2, 0, 1).unsqueeze(0).to(torch.float32)
    own = mask[top:bottom, left:right].unsqueeze(0).unsqueeze(0)
    size = [side, side]
    pixels = F.interpolate(box, size=size, mode="bicubic", align_corners=False, antialias=True)
    return pixels[0].permute(1, 2, 0).clamp(0.0, 255.0), F.adaptive_max_pool2d(own, size)[0]
