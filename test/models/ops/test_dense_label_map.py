"""Dense label maps against resizing whole score maps, and their entropy rule."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

SIZES = [
    # network, valid, output
    ((32, 48), (32, 48), (32, 48)),
    ((32, 48), (30, 41), (75, 103)),
    ((64, 64), (64, 64), (7, 300)),
    ((16, 16), (16, 16), (1, 1)),
]


def resized(logits: Tensor, size: tuple[tuple[int, int], ...]) -> Tensor:
    """Class logits at output size, each step as the network's frame says."""
    network, valid, output = size
    full = F.interpolate(logits[None], size=network, mode="bilinear", align_corners=False)
    inside = full[:, :, : valid[0], : valid[1]]
    return F.interpolate(inside, size=output, mode="bilinear", align_corners=False)[0]


def label_map(
    logits: Tensor, size: tuple[tuple[int, int], ...], most_entropy: float | None = None
) -> tuple[Tensor, Tensor]:
    """Of a grid that fills the network input."""
    network, valid, output = size
    area = [0.0, 0.0, *map(float, network)]
    return torch.ops.lexiseg.dense_label_map(logits, area, [*valid, *output], most_entropy)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [1, 2, 19, 150])
def test_equals_resizing_all_scores(size, classes):
    generator = torch.Generator().manual_seed(classes)
    logits = 5.0 * torch.randn(classes, 9, 13, generator=generator)
    labels, scores = label_map(logits, size)
    probability, expected = resized(logits, size).softmax(0).max(0)
    assert labels.dtype == torch.int32 and labels.shape == scores.shape == size[2]
    # Bilinear steps composed into one round differently: ties may fall the other way.
    assert (labels == expected).float().mean() > 0.998
    torch.testing.assert_close(scores, probability, rtol=2e-4, atol=1e-5)


def test_uncertain_pixels_have_no_label():
    generator = torch.Generator().manual_seed(3)
    logits = 4.0 * torch.randn(20, 8, 8, generator=generator)
    size = ((64, 64), (64, 64), (50, 60))
    probability = resized(logits, size).softmax(0)
    entropy = -(probability * probability.log()).sum(0)
    labels, scores = label_map(logits, size, 1.5)
    clear = (entropy - 1.5).abs() > 1e-3
    assert torch.equal((labels < 0)[clear], (entropy > 1.5)[clear])
    assert 0.1 < float((labels < 0).float().mean()) < 0.9
    assert bool((scores[labels < 0] == 0).all())


@pytest.mark.parametrize("classes", [5, 20, 59])
def test_a_sure_pixel_always_and_an_even_one_never_has_a_label(classes):
    size = ((4, 4), (4, 4), (4, 4))
    sure = torch.zeros(classes, 4, 4)
    sure[2] = 1000.0
    labels, scores = label_map(sure, size, 1.5)
    assert bool((labels == 2).all()) and bool((scores == 1.0).all())
    labels, _ = label_map(torch.zeros(classes, 4, 4), size, 1.5)
    assert bool((labels == -1).all())
    labels, scores = label_map(torch.zeros(classes, 4, 4), size)
    assert bool((labels == 0).all())
    torch.testing.assert_close(scores, torch.full((4, 4), 1.0 / classes))
    assert math.log(classes) > 1.5


def test_logits_that_are_no_numbers_are_never_chosen():
    logits = torch.zeros(3, 2, 2)
    logits[1] = math.nan
    logits[0] = -math.inf
    size = ((2, 2), (2, 2), (6, 6))
    labels, _ = label_map(logits, size)
    assert bool((labels == 2).all())
    labels, scores = label_map(logits[:2], size)
    assert bool((labels == -1).all()) and bool((scores == 0).all())


def test_no_classes_give_no_labels():
    labels, scores = label_map(torch.zeros(0, 2, 2), ((2, 2), (2, 2), (3, 5)))
    assert labels.shape == (3, 5) and bool((labels == -1).all()) and bool((scores == 0).all())


# A patch of 16 every 4 pixels: a quarter of a cell, half of one, and past the end of the image.
AREAS = [(6.0, 6.0, 32.0, 36.0), (3.5, 2.0, 30.0, 33.0), (-4.0, 0.0, 64.0, 80.0)]


@pytest.mark.parametrize("area", AREAS)
def test_a_grid_lies_where_its_area_says(area):
    generator = torch.Generator().manual_seed(5)
    logits = 5.0 * torch.randn(6, 8, 9, generator=generator)
    valid, output = (40, 48), (75, 103)

    def places(side: int, begin: float, length: float, cells: int) -> Tensor:
        centres = torch.arange(side, dtype=torch.float64) + 0.5 - begin
        return (centres * cells / length - 0.5).clamp(0, cells - 1)

    y = places(valid[0], area[0], area[2], 8)
    x = places(valid[1], area[1], area[3], 9)
    low_y, low_x = y.long().clamp(max=6), x.long().clamp(max=7)
    v, u = (y - low_y).unsqueeze(1), (x - low_x).unsqueeze(0)
    exact = logits.double()
    above, below = exact[:, low_y], exact[:, low_y + 1]
    columns = [row[:, :, low_x] * (1 - u) + row[:, :, low_x + 1] * u for row in (above, below)]
    inside = columns[0] * (1 - v) + columns[1] * v
    full = F.interpolate(inside[None], size=output, mode="bilinear", align_corners=False)[0]
    probability, expected = full.softmax(0).max(0)
    labels, scores = torch.ops.lexiseg.dense_label_map(logits, area, [*valid, *output])
    assert (labels == expected).float().mean() > 0.998
    torch.testing.assert_close(scores.double(), probability, rtol=2e-4, atol=1e-5)


def test_a_lone_patch_is_as_high_as_the_pixels_beside_its_centre():
    """Patches of 16 every 4 pixels: the pixels at both sides of a centre are an eighth away."""
    logits = torch.zeros(2, 8, 8)
    logits[1, 3, 3] = 1.0
    _, scores = torch.ops.lexiseg.dense_label_map(logits, [6, 6, 32, 32], [48, 48, 48, 48])
    peak = (1 - 1 / 8) ** 2
    assert float(scores.max()) == pytest.approx(1 / (1 + math.exp(-peak)), abs=1e-6)
    assert float(scores[19, 19]) == float(scores.max())


WHOLE = [0.0, 0.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "logits, area, geometry, entropy, what",
    [
        (torch.zeros(2, 2), WHOLE, [2, 2, 2, 2], None, "class_logits"),
        (torch.zeros(2, 2, 2, dtype=torch.float64), WHOLE, [2, 2, 2, 2], None, "class_logits"),
        (torch.zeros(2, 0, 2), WHOLE, [2, 2, 2, 2], None, "planes with sides"),
        (torch.zeros(2, 2, 2), WHOLE[:3], [2, 2, 2, 2], None, "4 numbers for area"),
        (torch.zeros(2, 2, 2), [0.5, 0.0, 1e-40, 2.0], [2, 2, 2, 2], None, "sizes of 1"),
        (torch.zeros(2, 2, 2), [math.nan, 0.0, 2.0, 2.0], [2, 2, 2, 2], None, "places of"),
        (torch.zeros(2, 2, 2), [0.0, 0.0, 2.0, math.inf], [2, 2, 2, 2], None, "sizes of 1 to"),
        (torch.zeros(2, 2, 2), WHOLE, [2, 2, 2, 2, 2, 2], None, "4 sizes"),
        (torch.zeros(2, 2, 2), WHOLE, [2, 0, 2, 2], None, "sizes of 1"),
        (torch.zeros(2, 2, 2), WHOLE, [2, 2, 2, 2], -0.1, "0 or more for most_entropy"),
        (torch.zeros(2, 2, 2), WHOLE, [2, 2, 2, 2], math.nan, "0 or more for most_entropy"),
    ],
)
def test_wrong_arguments_are_refused(logits, area, geometry, entropy, what):
    with pytest.raises(RuntimeError, match=what):
        torch.ops.lexiseg.dense_label_map(logits, area, geometry, entropy)
