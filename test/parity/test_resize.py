"""The resize inside the graph gives Pillow's pixels, not one grey level away."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from .exporting import ROOT

sys.path.insert(0, str(ROOT / "models"))

from lexiseg_models.parts.preprocess import resize_pixels  # noqa: E402

SIZES = [
    ((180, 250), (160, 222)),
    ((333, 210), (254, 160)),
    ((480, 640), (800, 1067)),
    ((1080, 1920), (750, 1333)),
    ((700, 900), (70, 90)),
    ((7, 5), (160, 114)),
    ((1, 500), (1, 133)),
    ((50, 60), (50, 64)),
    ((40, 40), (40, 40)),
]


@pytest.mark.parametrize(("source", "target"), SIZES)
def test_resize_equals_pillow(source: tuple[int, int], target: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(source))
    picture = rng.integers(0, 256, (*source, 3), dtype=np.uint8)
    height, width = target
    expected = np.asarray(
        Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR)
    )
    resized = torch.jit.script(resize_pixels)(torch.from_numpy(picture)[None], height, width)
    assert np.array_equal(resized[0].numpy(), expected)
