"""Patches of images, one column of them included."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.parts.patches import patch_map


def stain_memory():
    """Leave values that are no numbers where the next tensors will lie."""
    stained = [torch.full((size,), float("nan")) for size in (64, 1000, 5000, 20000, 100000)]
    del stained


@pytest.mark.parametrize("width", [8, 9, 15, 16, 40])
@pytest.mark.parametrize("stride", [8, 4])
def test_every_width_gives_the_patches_of_a_loop(width, stride):
    image, weight, bias = torch.randn(2, 3, 16, width), torch.randn(5, 3, 8, 8), torch.randn(5)
    found = patch_map(image, weight, bias, stride)
    columns = 1 + (width - 8) // stride
    assert found.shape == (2, 5, 1 + 8 // stride, columns)
    for row in range(found.shape[2]):
        for column in range(columns):
            y, x = row * stride, column * stride
            patch = image[:, :, y : y + 8, x : x + 8].flatten(1)
            expected = patch @ weight.flatten(1).t() + bias
            assert torch.allclose(found[:, :, row, column], expected, atol=1e-4)


def test_an_image_smaller_than_a_patch_is_filled_up():
    image, weight = torch.randn(1, 3, 3, 20), torch.randn(5, 3, 8, 8)
    filled = F.pad(image, [0, 0, 0, 5])
    found = patch_map(image, weight, None, 4)
    assert torch.allclose(found, F.conv2d(filled, weight, stride=4), atol=1e-4)


def test_bfloat16_never_reads_memory_that_nobody_wrote():
    image, weight = torch.randn(1, 3, 64, 8), 0.1 * torch.randn(192, 3, 8, 8)
    expected = F.conv2d(image, weight, stride=8)
    for _ in range(20):
        stain_memory()
        found = patch_map(image, weight.to(torch.bfloat16), None, 8)
        assert torch.allclose(found.to(torch.float32), expected, atol=0.2)
