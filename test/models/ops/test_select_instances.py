"""Instances against the published rule, one (query, class) pair at a time."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from .references import Geometry, Instance, instances

THING = torch.tensor([True, False, True, True, False])


def _inputs(queries: int, h: int, w: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(queries + 1)
    masks = 3 * torch.randn(queries, h, w, generator=generator) - 1
    return masks, (2 * torch.randn(queries, 6, generator=generator)).softmax(-1)[:, :5]


def _run(*arguments) -> list[Instance]:
    counts, offsets, classes, scores, areas, boxes = torch.ops.lexiseg.select_instances(*arguments)
    assert [t.dtype for t in (counts, offsets, classes, scores, areas, boxes)] == [
        torch.int32,
        torch.int64,
        torch.int64,
        torch.float32,
        torch.int64,
        torch.int32,
    ]
    assert offsets[0] == 0
    assert offsets[-1] == len(counts)
    return [
        Instance(*row[:4], counts[row[4] : row[5]].tolist())
        for row in zip(
            classes.tolist(),
            scores.tolist(),
            areas.tolist(),
            boxes.tolist(),
            offsets[:-1].tolist(),
            offsets[1:].tolist(),
            strict=True,
        )
    ]


def _same(actual: list[Instance], expected: list[Instance]) -> None:
    assert [i.label for i in actual] == [i.label for i in expected]
    assert [i.score for i in actual] == pytest.approx([i.score for i in expected], rel=1e-5)
    for a, b in zip(actual, expected, strict=True):
        assert a[2:] == b[2:]


@pytest.mark.parametrize("things_only", [False, True])
@pytest.mark.parametrize("top_k", [0, 1, 12, 10_000])
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(20, 28, 20, 28, 20, 28),
        Geometry(20, 28, 17, 28, 33, 71),
        Geometry(20, 28, 20, 25, 9, 6),
        Geometry(20, 28, 1, 28, 1, 90),
        Geometry(20, 28, 20, 1, 90, 1),
    ],
)
def test_equals_the_published_rule(geometry, top_k, things_only):
    for queries in (1, 6):
        arguments = (*_inputs(queries, 5, 7), THING, geometry, top_k, things_only)
        _same(_run(*arguments), instances(*arguments))


def test_large_masks_equal_the_published_rule():
    """More columns and rows than one block of the kernels, and long runs."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    masks = torch.stack([14 - (y - 20).hypot(x - 25), 5 - (y - 3).abs(), x - 47.5])
    _, probs = _inputs(3, 1, 1)
    arguments = (masks, probs, THING, Geometry(160, 200, 150, 200, 171, 203), 100, False)
    _same(_run(*arguments), instances(*arguments))


def test_whole_and_empty_masks():
    masks = torch.stack((torch.full((2, 2), 3.0), torch.full((2, 2), -3.0), torch.zeros(2, 2)))
    probs = torch.full((3, 5), 0.2)
    found = _run(masks, probs, THING, Geometry(8, 8, 8, 8, 6, 4), 100, False)
    assert len(found) == 5
    assert all(i.counts == [0, 24] and i.box == [0, 0, 4, 6] and i.area == 24 for i in found)


def test_top_k_comes_before_the_choice_of_things():
    masks = torch.full((1, 2, 2), 3.0)
    probs = torch.tensor([[0.1, 0.5, 0.2, 0.1, 0.1]])
    geometry = Geometry(8, 8, 8, 8, 8, 8)
    assert _run(masks, probs, THING, geometry, 1, True) == []
    assert [i.label for i in _run(masks, probs, THING, geometry, 2, True)] == [2]


@pytest.mark.parametrize(("queries", "classes"), [(0, 5), (3, 0)])
def test_nothing_to_choose_from(queries, classes):
    found = _run(
        torch.zeros(queries, 2, 2),
        torch.zeros(queries, classes),
        THING[:classes],
        Geometry(8, 8, 8, 8, 8, 8),
        100,
        False,
    )
    assert found == []


def test_what_is_not_a_number_loses():
    masks, probs = _inputs(4, 5, 7)
    rest = (THING, Geometry(20, 28, 20, 28, 31, 40), 100, False)
    spoilt, without = masks.clone(), masks.clone()
    spoilt[2] = float("nan")
    without[2] = -1.0
    _same(_run(spoilt, probs, *rest), _run(without, probs, *rest))
    spoilt_probs = probs.clone()
    spoilt_probs[1, 3] = float("nan")
    sound = [i for i in _run(masks, spoilt_probs, *rest) if i.score == i.score]
    assert len(sound) == len(_run(masks, probs, *rest)) - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.zeros(3, 4)}, "for mask_logits"),
        ({1: torch.zeros(4, 5)}, "for class_probs"),
        ({1: torch.zeros(3, 5).half()}, "for class_probs"),
        ({2: THING[:4]}, "for thing"),
        ({2: THING.int()}, "for thing"),
        ({3: [16, 16, 17, 16, 16, 16]}, "for geometry"),
        ({4: -1}, "for top_k"),
    ],
)
def test_misfits_are_named(change, message):
    arguments = [torch.zeros(3, 4, 4), torch.zeros(3, 5), THING, [16] * 6, 100, False]
    for position, value in change.items():
        arguments[position] = value
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.select_instances(*arguments)
