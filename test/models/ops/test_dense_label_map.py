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


def flat(size: tuple[tuple[int, int], ...]) -> list[int]:
    return [side for pair in size for side in pair]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("classes", [1, 2, 19, 150])
def test_equals_resizing_all_scores(size, classes):
    generator = torch.Generator().manual_seed(classes)
    logits = 5.0 * torch.randn(classes, 9, 13, generator=generator)
    labels, scores = torch.ops.lexiseg.dense_label_map(logits, flat(size))
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
    labels, scores = torch.ops.lexiseg.dense_label_map(logits, flat(size), 1.5)
    clear = (entropy - 1.5).abs() > 1e-3
    assert torch.equal((labels < 0)[clear], (entropy > 1.5)[clear])
    assert 0.1 < float((labels < 0).float().mean()) < 0.9
    assert bool((scores[labels < 0] == 0).all())


@pytest.mark.parametrize("classes", [5, 20, 59])
def test_a_sure_pixel_always_and_an_even_one_never_has_a_label(classes):
    geometry = [4, 4, 4, 4, 4, 4]
    sure = torch.zeros(classes, 4, 4)
    sure[2] = 1000.0
    labels, scores = torch.ops.lexiseg.dense_label_map(sure, geometry, 1.5)
    assert bool((labels == 2).all()) and bool((scores == 1.0).all())
    labels, _ = torch.ops.lexiseg.dense_label_map(torch.zeros(classes, 4, 4), geometry, 1.5)
    assert bool((labels == -1).all())
    labels, scores = torch.ops.lexiseg.dense_label_map(torch.zeros(classes, 4, 4), geometry)
    assert bool((labels == 0).all())
    torch.testing.assert_close(scores, torch.full((4, 4), 1.0 / classes))
    assert math.log(classes) > 1.5


def test_logits_that_are_no_numbers_are_never_chosen():
    logits = torch.zeros(3, 2, 2)
    logits[1] = math.nan
    logits[0] = -math.inf
    labels, _ = torch.ops.lexiseg.dense_label_map(logits, [2, 2, 2, 2, 6, 6])
    assert bool((labels == 2).all())
    labels, scores = torch.ops.lexiseg.dense_label_map(logits[:2], [2, 2, 2, 2, 6, 6])
    assert bool((labels == -1).all()) and bool((scores == 0).all())


def test_no_classes_give_no_labels():
    labels, scores = torch.ops.lexiseg.dense_label_map(torch.zeros(0, 2, 2), [2, 2, 2, 2, 3, 5])
    assert labels.shape == (3, 5) and bool((labels == -1).all()) and bool((scores == 0).all())


@pytest.mark.parametrize(
    "logits, geometry, entropy, what",
    [
        (torch.zeros(2, 2), [2, 2, 2, 2, 2, 2], None, "class_logits"),
        (torch.zeros(2, 2, 2, dtype=torch.float64), [2, 2, 2, 2, 2, 2], None, "class_logits"),
        (torch.zeros(2, 0, 2), [2, 2, 2, 2, 2, 2], None, "planes with sides"),
        (torch.zeros(2, 2, 2), [2, 2, 3, 2, 2, 2], None, "a valid size inside"),
        (torch.zeros(2, 2, 2), [2, 2, 2, 2], None, "6 sizes"),
        (torch.zeros(2, 2, 2), [2, 2, 2, 2, 2, 2], -0.1, "0 or more for most_entropy"),
        (torch.zeros(2, 2, 2), [2, 2, 2, 2, 2, 2], math.nan, "0 or more for most_entropy"),
    ],
)
def test_wrong_arguments_are_refused(logits, geometry, entropy, what):
    with pytest.raises(RuntimeError, match=what):
        torch.ops.lexiseg.dense_label_map(logits, geometry, entropy)
