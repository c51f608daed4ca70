"""Picture → network input, by Pillow's 8-bit bilinear resize as the published evaluation does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .config import PIXEL_MEAN, PIXEL_STD, OracleConfig

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class NetworkInput:
    """A normalised, padded image and the sizes it went through, (height, width)."""

    image: Tensor
    valid_size: tuple[int, int]
    output_size: tuple[int, int]

    @property
    def network_size(self) -> tuple[int, int]:
        """Size of the padded image."""
        return self.image.shape[-2], self.image.shape[-1]


def resized_size(height: int, width: int, config: OracleConfig) -> tuple[int, int]:
    """The shortest edge becomes `shortest_edge` unless the longest would pass its cap."""
    scale = config.shortest_edge / min(height, width)
    new = (
        (float(config.shortest_edge), scale * width)
        if height < width
        else (scale * height, float(config.shortest_edge))
    )
    if max(new) > config.longest_edge:
        shrink = config.longest_edge / max(new)
        new = (new[0] * shrink, new[1] * shrink)
    return int(new[0] + 0.5), int(new[1] + 0.5)


def preprocess(picture: Picture, config: OracleConfig) -> NetworkInput:
    """picture: uint8 [H, W, 3] RGB → input [1, 3, H', W'], zeros right and below the image."""
    output_size = (picture.shape[0], picture.shape[1])
    height, width = resized_size(*output_size, config)
    resized = np.asarray(
        Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    )
    image = torch.from_numpy(resized.astype("float32")).permute(2, 0, 1)
    mean = torch.tensor(PIXEL_MEAN).view(3, 1, 1)
    std = torch.tensor(PIXEL_STD).view(3, 1, 1)
    image = (image - mean) / std
    pad = (-width % config.divisor, -height % config.divisor)
    padded = functional.pad(image, (0, pad[0], 0, pad[1]))[None]
    return NetworkInput(padded, (height, width), output_size)
