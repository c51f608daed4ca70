"""From 8-bit pixels to the network input: resize, normalise, pad; scriptable, no parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageConfig:
    """How an image becomes the network input.

    Attributes:
        shortest_edge: wanted length of the shorter edge, pixels.
        longest_edge: cap on the longer edge, pixels; it wins over shortest_edge.
        mean: per RGB channel, on the 0-255 scale.
        std: per RGB channel, on the 0-255 scale.
        divisor: height and width are padded to a multiple of this.
    """

    shortest_edge: int
    longest_edge: int
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    divisor: int


def resized_size(height: int, width: int, shortest_edge: int, longest_edge: int) -> Tuple[int, int]:
    """Size after the shortest-edge rule: (height, width), each at least 1.

    The arithmetic is that of detectron2's ResizeShortestEdge: scale in floating point, cap the
    longer edge, round half up. Very elongated images would round to nothing, so 1 is the floor.
    """
    scale = shortest_edge / min(height, width)
    new_height = float(shortest_edge)
    new_width = float(shortest_edge)
    if height < width:
        new_width = scale * width
    else:
        new_height = scale * height
    longest = max(new_height, new_width)
    if longest > longest_edge:
        cap = longest_edge / longest
        new_height = new_height * cap
        new_width = new_width * cap
    return max(int(new_height + 0.5), 1), max(int(new_width + 0.5), 1)


def filter_taps(source: int, target: int) -> Tuple[Tensor, Tensor]:
    """Pillow's triangle filter from `source` to `target` pixels, as Pillow stores it.

    Returns:
        Source positions, int64 [T, target], and their weights in units of 2^-22, int32 [T, target];
        places beyond the image have weight zero.
    """
    scale = source / target
    support = max(scale, 1.0)
    centre = (torch.arange(target, dtype=torch.float64) + 0.5) * scale
    first = (centre - support + 0.5).clamp(min=0.0).floor()
    end = (centre + support + 0.5).floor().clamp(max=float(source))
    taps = int((end - first).max().item())
    position = first + torch.arange(taps, dtype=torch.float64).unsqueeze(1)
    weight = (1.0 - ((position - centre + 0.5) * (1.0 / support)).abs()).clamp(min=0.0)
    weight = torch.where(position < end, weight, torch.zeros_like(weight))
    weight = weight / weight.sum(0)
    fixed = (weight * (1 << 22) + 0.5).floor().to(torch.int32)
    return position.clamp(max=float(source - 1)).to(torch.int64), fixed


def filter_rows(rows: Tensor, target: int) -> Tensor:
    """Resamples the first dimension, rounding to 8 bits.

    Args:
        rows: uint8 [source, ...].
        target: length of the result.

    Returns:
        uint8 [target, ...].
    """
    position, weight = filter_taps(rows.size(0), target)
    position = position.to(rows.device)
    weight = weight.to(rows.device)
    total = torch.full(
        [target] + list(rows.shape[1:]), 1 << 21, dtype=torch.int32, device=rows.device
    )
    for tap in range(position.size(0)):
        scale = weight[tap].view([target] + [1] * (rows.dim() - 1))
        total.addcmul_(rows.index_select(0, position[tap]).to(torch.int32), scale)
    return total.bitwise_right_shift_(22).clamp_(0, 255).to(torch.uint8)


def resize_pixels(image: Tensor, height: int, width: int) -> Tensor:
    """Bilinear resize with antialiasing, equal to Pillow's on 8-bit images.

    Pillow filters rows first, rounds to 8 bits, then filters columns and rounds again, with
    weights in fixed point. A filter in floating point rounds ties elsewhere, and one grey level
    in a few percent of the pixels moves masks by far more than the arithmetic after it.

    Args:
        image: uint8 [B, H, W, C].
        height: of the result.
        width: of the result.

    Returns:
        uint8 [B, height, width, C].
    """
    if image.size(2) != width:
        image = filter_rows(image.transpose(0, 2).contiguous(), width).transpose(0, 2)
    if image.size(1) != height:
        image = filter_rows(image.transpose(0, 1).contiguous(), height).transpose(0, 1)
    return image


class Preprocess(nn.Module):
    """Resize, normalise and pad a batch of equally large images."""

    def __init__(self, config: ImageConfig) -> None:
        """Keeps the numbers of `config`; there are no parameters and no buffers."""
        super().__init__()
        self.shortest_edge: int = config.shortest_edge
        self.longest_edge: int = config.longest_edge
        self.mean: List[float] = list(config.mean)
        self.std: List[float] = list(config.std)
        self.divisor: int = config.divisor

    def forward(self, image: Tensor) -> Tuple[Tensor, Tensor]:
        """Makes the network input.

        Args:
            image: uint8 [B, H, W, 3], RGB.

        Returns:
            The network input, float32 [B, 3, H', W'] in channels-last memory, H' and W' multiples
            of the divisor, zeros right of and below the image; and the size of the resized image
            inside it, int64 [2] (height, width).
        """
        resized = self.resize(image)
        valid_size = torch.tensor([resized.shape[1], resized.shape[2]], dtype=torch.int64)
        return self.normalise(resized), valid_size

    def resize(self, image: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] at the size that the network sees, without padding."""
        if image.dim() != 4 or image.shape[3] != 3 or image.dtype != torch.uint8:
            raise ValueError("Expected image to be uint8 [B, H, W, 3]")
        if image.shape[1] < 1 or image.shape[2] < 1:
            raise ValueError("Expected image to have at least one pixel")
        height, width = resized_size(
            image.shape[1], image.shape[2], self.shortest_edge, self.longest_edge
        )
        return resize_pixels(image, height, width)

    def normalise(self, image: Tensor) -> Tensor:
        """Network input of an image that has its final size, as crops for training have.

        Args:
            image: uint8 [B, H, W, 3], RGB.

        Returns:
            float32 [B, 3, H', W'] as `forward` gives it.
        """
        height, width = image.shape[1], image.shape[2]
        pixels = image.permute(0, 3, 1, 2).to(torch.float32)
        mean = torch.tensor(self.mean, dtype=torch.float32, device=image.device)
        std = torch.tensor(self.std, dtype=torch.float32, device=image.device)
        normalised = (pixels - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
        below = (self.divisor - height % self.divisor) % self.divisor
        right = (self.divisor - width % self.divisor) % self.divisor
        padded = F.pad(normalised, (0, right, 0, below))
        return padded.contiguous(memory_format=torch.channels_last)
