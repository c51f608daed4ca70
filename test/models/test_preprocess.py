"""Preprocessing: size arithmetic, agreement with Pillow, normalisation and padding."""

import numpy as np
import pytest
import torch
from lexiseg_models.parts.preprocess import ImageConfig, Preprocess, resize_pixels, resized_size
from PIL import Image

MEAN = (122.7709383, 116.7460125, 104.09373615)
STD = (68.5005327, 66.6321579, 70.32316305)


def preprocess(shortest=64, longest=128):
    return Preprocess(ImageConfig(shortest, longest, MEAN, STD, 32))


@pytest.mark.parametrize(
    "size, expected",
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((500, 500), (800, 800)),
        ((427, 640), (800, 1199)),
        ((512, 683), (800, 1067)),
        ((300, 1000), (400, 1333)),
        ((1024, 2048), (667, 1333)),
        ((800, 1333), (800, 1333)),
        ((1, 5000), (1, 1333)),
        ((20000, 10), (1333, 1)),
        ((1, 1), (800, 800)),
    ],
)
def test_follows_the_shortest_edge_rule(size, expected):
    assert resized_size(*size, 800, 1333) == expected


def test_rounds_half_up():
    # 3 / 2 * 5 = 7.5 exactly.
    assert resized_size(2, 5, 3, 100) == (3, 8)


@pytest.mark.parametrize(
    "source, target",
    [((97, 131), (61, 40)), ((40, 51), (93, 170)), ((64, 64), (64, 17)), ((33, 80), (70, 80))],
)
def test_resizes_like_pillow_on_8_bit_images(source, target):
    generator = np.random.default_rng(5)
    picture = generator.integers(0, 256, (*source, 3), dtype=np.uint8)
    expected = Image.fromarray(picture).resize((target[1], target[0]), Image.Resampling.BILINEAR)
    actual = resize_pixels(torch.from_numpy(picture)[None], *target)[0]
    assert np.array_equal(actual.numpy(), np.array(expected))


def test_leaves_the_pixels_alone_when_the_size_already_fits():
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    network_input, _ = preprocess()(image)
    restored = network_input * torch.tensor(STD).view(1, 3, 1, 1)
    restored = restored + torch.tensor(MEAN).view(1, 3, 1, 1)
    assert torch.allclose(restored, image.permute(0, 3, 1, 2).float(), atol=1e-3)


def test_pads_right_and_below_with_zeros_after_normalisation():
    image = torch.full((1, 50, 70, 3), 200, dtype=torch.uint8)
    network_input, valid_size = preprocess()(image)
    assert valid_size.tolist() == [64, 90]
    assert network_input.shape == (1, 3, 64, 96)
    assert network_input[..., 90:].abs().max() == 0
    expected = (200 - torch.tensor(MEAN)) / torch.tensor(STD)
    inside = network_input[0, :, :, :90]
    assert torch.allclose(inside, expected.view(3, 1, 1).expand_as(inside), atol=1e-5)


def test_gives_channels_last_memory():
    network_input, _ = preprocess()(torch.zeros(2, 30, 30, 3, dtype=torch.uint8))
    assert network_input.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    "image",
    [
        torch.zeros(1, 8, 8, 3),
        torch.zeros(1, 8, 8, 4, dtype=torch.uint8),
        torch.zeros(8, 8, 3, dtype=torch.uint8),
        torch.zeros(1, 0, 8, 3, dtype=torch.uint8),
    ],
)
def test_refuses_what_is_not_an_8_bit_rgb_image(image):
    with pytest.raises(ValueError, match="Expected image"):
        preprocess()(image)
