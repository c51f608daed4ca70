"""Label maps against class scores that are computed whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from .references import Geometry, class_scores

GEOMETRIES = {
    "same": Geometry(16, 24, 16, 24, 16, 24),
    "padded": Geometry(32, 32, 27, 30, 27, 30),
    "up": Geometry(32, 32, 25, 31, 61, 77),
    "down": Geometry(64, 96, 60, 85, 13, 22),
    "row": Geometry(4, 64, 1, 64, 1, 200),
    "column": Geometry(64, 4, 64, 1, 150, 1),
    "pixel": Geometry(4, 4, 1, 1, 1, 1),
    "wide": Geometry(32, 1056, 32, 1033, 20, 1300),
}


def _inputs(queries: int, classes: int, h: int, w: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    masks = 4 * torch.randn(queries, h, w, generator=generator)
    return masks, (3 * torch.randn(queries, classes, generator=generator)).softmax(-1)


def _grid(geometry: Geometry) -> tuple[int, int]:
    return max(geometry.network_height // 4, 1), max(geometry.network_width // 4, 1)


def _agrees(labels: Tensor, scores: Tensor, expected: Tensor) -> None:
    """The label is a best one up to rounding of sums and of places, and its score is right."""
    best = expected.amax(0)
    chosen = expected.gather(0, labels[None].long())[0]
    assert float((best - chosen).max()) < 5e-5
    assert float((scores.double() - chosen).abs().max()) < 5e-5


@pytest.mark.parametrize("resize_scores", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
def test_equals_whole_class_scores(name, resize_scores):
    geometry = GEOMETRIES[name]
    masks, probs = _inputs(9, 21, *_grid(geometry))
    labels, scores = torch.ops.lexiseg.label_map(masks, probs, geometry, resize_scores)
    assert (labels.dtype, scores.dtype) == (torch.int32, torch.float32)
    assert labels.shape == scores.shape == (geometry.height, geometry.width)
    expected = class_scores(masks, probs, geometry, resize_scores)
    _agrees(labels, scores, expected)
    assert (labels == expected.argmax(0)).float().mean() > 0.999


@pytest.mark.parametrize(("queries", "classes"), [(1, 1), (1, 3), (3, 1), (17, 13), (40, 130)])
def test_any_number_of_queries_and_classes(queries, classes):
    geometry = GEOMETRIES["up"]
    masks, probs = _inputs(queries, classes, *_grid(geometry))
    labels, scores = torch.ops.lexiseg.label_map(masks, probs, geometry, False)
    _agrees(labels, scores, class_scores(masks, probs, geometry, False))


def test_equals_two_interpolations():
    """The composed resampling is the published sequence of two."""
    geometry = Geometry(256, 320, 250, 317, 375, 500)
    masks, probs = _inputs(30, 40, 64, 80)
    network = F.interpolate(masks[None], geometry[:2], mode="bilinear")[..., :250, :317]
    output = F.interpolate(network, geometry[4:], mode="bilinear")[0].sigmoid()
    expected = torch.einsum("qk,qhw->khw", probs, output).double()
    _agrees(*torch.ops.lexiseg.label_map(masks, probs, geometry, False), expected)


def test_separate_masks_get_their_classes():
    """Blobs far apart, so that most classes are out of the question at most pixels."""
    geometry = Geometry(192, 256, 192, 256, 192, 256)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    generator = torch.Generator().manual_seed(2)
    centres = torch.rand(30, 2, generator=generator) * torch.tensor([48.0, 64.0])
    away = (y - centres[:, :1, None]).square() + (x - centres[:, 1:, None]).square()
    masks = 12 - away.sqrt() * 2
    probs = (9 * torch.randn(30, 90, generator=generator)).softmax(-1)
    for resize_scores in (False, True):
        labels, scores = torch.ops.lexiseg.label_map(masks, probs, geometry, resize_scores)
        _agrees(labels, scores, class_scores(masks, probs, geometry, resize_scores))


def test_the_lower_class_wins_a_tie():
    masks, probs = _inputs(6, 4, 8, 8)
    repeated = torch.cat((probs, probs), dim=1)
    geometry = Geometry(32, 32, 32, 32, 50, 40)
    labels, scores = torch.ops.lexiseg.label_map(masks, repeated, geometry, False)
    once = torch.ops.lexiseg.label_map(masks, probs, geometry, False)
    assert torch.equal(labels, once[0])
    assert torch.equal(scores, once[1])


def test_permuting_classes_permutes_labels():
    masks, probs = _inputs(12, 50, 8, 8)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    geometry = Geometry(32, 32, 30, 32, 45, 48)
    labels, scores = torch.ops.lexiseg.label_map(masks, probs, geometry, False)
    moved, moved_scores = torch.ops.lexiseg.label_map(masks, probs[:, order], geometry, False)
    assert torch.equal(order[moved.long()].int(), labels)
    assert torch.equal(moved_scores, scores)


def test_any_layout_gives_the_same():
    masks, probs = _inputs(5, 7, 9, 6)
    geometry = Geometry(36, 24, 33, 24, 20, 50)
    expected = torch.ops.lexiseg.label_map(masks, probs, geometry, False)
    scattered = masks.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    actual = torch.ops.lexiseg.label_map(scattered, probs.T.contiguous().T, geometry, False)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


@pytest.mark.parametrize(("queries", "classes"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_to_choose_from_is_unlabelled(queries, classes):
    geometry = Geometry(8, 8, 8, 8, 5, 6)
    labels, scores = torch.ops.lexiseg.label_map(
        torch.zeros(queries, 2, 2), torch.zeros(queries, classes), geometry, False
    )
    assert torch.equal(labels, torch.full((5, 6), -1, dtype=torch.int32))
    assert torch.equal(scores, torch.zeros(5, 6))


@pytest.mark.parametrize("resize_scores", [False, True])
def test_what_is_not_a_number_loses(resize_scores):
    geometry = Geometry(32, 32, 32, 32, 32, 32)
    masks, probs = _inputs(6, 8, 8, 8)
    spoilt = masks.clone()
    spoilt[2] = float("nan")
    without = masks.clone()
    without[2] = -1e30
    actual = torch.ops.lexiseg.label_map(spoilt, probs, geometry, resize_scores)
    expected = torch.ops.lexiseg.label_map(without, probs, geometry, resize_scores)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))

    spoilt_probs = probs.clone()
    spoilt_probs[:, 3] = float("nan")
    labels, scores = torch.ops.lexiseg.label_map(masks, spoilt_probs, geometry, resize_scores)
    others = class_scores(masks, probs, geometry, resize_scores)
    others[3] = -1
    _agrees(labels, scores, others)
    nothing = torch.ops.lexiseg.label_map(
        masks, torch.full_like(probs, float("nan")), geometry, resize_scores
    )
    assert torch.equal(nothing[0], torch.full((32, 32), -1, dtype=torch.int32))
    assert torch.equal(nothing[1], torch.zeros(32, 32))


def test_infinite_logits_are_certain():
    geometry = Geometry(16, 16, 16, 16, 16, 16)
    masks = torch.full((2, 4, 4), float("-inf"))
    masks[1] = float("inf")
    probs = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    labels, scores = torch.ops.lexiseg.label_map(masks, probs, geometry, False)
    assert torch.equal(labels, torch.ones(16, 16, dtype=torch.int32))
    assert torch.allclose(scores, torch.full((16, 16), 0.8))


GOOD = [32, 32, 32, 32, 8, 8]


@pytest.mark.parametrize(
    ("masks", "probs", "geometry", "message"),
    [
        (torch.zeros(2, 8), torch.zeros(2, 3), GOOD, "for mask_logits"),
        (torch.zeros(2, 8, 8).double(), torch.zeros(2, 3), GOOD, "for mask_logits"),
        (torch.zeros(2, 0, 8), torch.zeros(2, 3), GOOD, "for mask_logits"),
        (torch.zeros(2, 8, 8), torch.zeros(3, 3), GOOD, "for class_probs"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3).bfloat16(), GOOD, "for class_probs"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3), GOOD[:5], "for geometry"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3), [32, 32, 33, 32, 8, 8], "for geometry"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3), [32, 32, 32, 32, 0, 8], "for geometry"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3), [32, 32, -1, 32, 8, 8], "for geometry"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3), [32, 32, 32, 32, 2**20, 2**20], "for geometry"),
        (torch.zeros(2, 8, 8), torch.zeros(2, 3), [2**62, 32, 32, 32, 8, 8], "for geometry"),
    ],
)
def test_misfits_are_named(masks, probs, geometry, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.label_map(masks, probs, geometry, False)
