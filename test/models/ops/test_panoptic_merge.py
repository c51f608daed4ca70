"""Panoptic maps against the published rule, query by query."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from .references import Geometry, Panoptic, panoptic

CLASSES = 6
THING = torch.tensor([True, False, True, False, False, True])


def _blobs(queries: int, h: int, w: int, seed: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Discs with soft noise, so that masks overlap but most survive."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    centres = torch.rand(queries, 2, generator=generator) * torch.tensor([float(h), float(w)])
    radii = torch.rand(queries, generator=generator) * max(h, w) * 0.3 + 1
    away = (y - centres[:, :1, None]).square() + (x - centres[:, 1:, None]).square()
    noise = torch.randn(queries, h, w, generator=generator)
    masks = (radii[:, None, None] - away.sqrt()) * 2 + 0.5 * noise
    scores = torch.rand(queries, generator=generator)
    labels = torch.randint(0, CLASSES + 1, (queries,), generator=generator)
    return masks, scores, labels


def _run(*arguments) -> Panoptic:
    masks, scores, labels, thing, geometry, thresholds = arguments
    ids, classes, best, areas, boxes, queries = torch.ops.lexiseg.panoptic_merge(
        masks, scores, labels, thing, geometry, *thresholds
    )
    assert [t.dtype for t in (ids, classes, best, areas, boxes, queries)] == [
        torch.int32,
        torch.int64,
        torch.float32,
        torch.int64,
        torch.int32,
        torch.int64,
    ]
    lists = [t.tolist() for t in (classes, best, areas, boxes, queries)]
    return Panoptic(ids, *lists)


def _same(actual: Panoptic, expected: Panoptic) -> None:
    assert actual.classes == expected.classes
    assert actual.scores == pytest.approx(expected.scores)
    assert torch.equal(actual.segment_ids, expected.segment_ids)
    assert actual.areas == expected.areas
    assert actual.boxes == expected.boxes
    assert actual.queries == expected.queries


@pytest.mark.parametrize("thresholds", [(0.0, 0.8), (0.5, 0.2), (-1.0, 0.0)])
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(64, 96, 64, 96, 64, 96),
        Geometry(64, 96, 50, 90, 83, 131),
        Geometry(64, 96, 61, 96, 17, 29),
        Geometry(64, 96, 64, 1, 64, 1),
        Geometry(64, 96, 1, 96, 1, 333),
    ],
)
def test_equals_the_published_rule(geometry, thresholds):
    for queries in (1, 2, 13, 40):
        arguments = (*_blobs(queries, 16, 24, queries), THING, geometry, thresholds)
        _same(_run(*arguments), panoptic(*arguments))


def test_noise_everywhere_equals_the_published_rule():
    generator = torch.Generator().manual_seed(8)
    masks = 3 * torch.randn(30, 12, 20, generator=generator)
    _, scores, labels = _blobs(30, 12, 20)
    arguments = (masks, scores, labels, THING, Geometry(48, 80, 48, 80, 70, 99), (0.0, 0.0))
    expected = panoptic(*arguments)
    assert len(expected.classes) > 3
    _same(_run(*arguments), expected)


def test_areas_and_boxes_are_those_of_the_map_however_threads_share_the_rows():
    masks, scores, labels = _blobs(40, 64, 64)
    geometry = Geometry(256, 256, 256, 256, 700, 300)
    first = _run(masks, scores, labels, THING, geometry, (0.0, 0.3))
    for _ in range(20):
        again = _run(masks, scores, labels, THING, geometry, (0.0, 0.3))
        _same(again, first)
        counted = torch.bincount(again.segment_ids.flatten().long())[1:]
        assert again.areas == counted.tolist()


def test_stuff_is_merged_and_things_are_not():
    masks = torch.full((4, 4, 4), -8.0)
    for query in range(4):
        masks[query, :, query] = 8.0
    geometry = Geometry(4, 4, 4, 4, 4, 4)
    scores = torch.tensor([0.5, 0.6, 0.7, 0.8])
    stuff = _run(masks, scores, torch.full((4,), 1), THING, geometry, (0.0, 0.8))
    assert (stuff.classes, stuff.areas, stuff.boxes) == ([1], [16], [[0, 0, 4, 4]])
    assert stuff.scores == pytest.approx([0.8])
    things = _run(masks, scores, torch.full((4,), 2), THING, geometry, (0.0, 0.8))
    assert (things.classes, things.areas) == ([2] * 4, [4] * 4)
    assert things.boxes == [[x, 0, 1, 4] for x in range(4)]
    assert things.segment_ids[0].tolist() == [1, 2, 3, 4]


def test_the_first_of_equal_queries_wins():
    masks = torch.ones(3, 2, 2)
    geometry = Geometry(8, 8, 8, 8, 9, 5)
    result = _run(
        masks, torch.full((3,), 0.5), torch.tensor([0, 2, 5]), THING, geometry, (0.0, 0.8)
    )
    assert (result.classes, result.areas) == ([0], [45])


def test_a_mostly_covered_query_is_dropped():
    """The second query keeps half of what it covers: its pixels stay unlabelled."""
    masks = torch.full((2, 1, 8), -9.0)
    masks[0, 0, :4] = 9.0
    masks[1, 0, 2:6] = 9.0
    arguments = (masks, torch.tensor([0.9, 0.8]), torch.tensor([0, 2]), THING)
    geometry = Geometry(1, 8, 1, 8, 1, 8)
    strict = _run(*arguments, geometry, (0.0, 0.8))
    assert strict.segment_ids.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    lax = _run(*arguments, geometry, (0.0, 0.5))
    assert lax.segment_ids.tolist() == [[1, 1, 1, 1, 2, 2, 0, 0]]


@pytest.mark.parametrize("kind", ["no queries", "void only", "below the threshold", "no classes"])
def test_nothing_to_show_is_unlabelled(kind):
    masks, scores, labels = _blobs(0 if kind == "no queries" else 5, 4, 4)
    thing = THING[:0] if kind == "no classes" else THING
    if kind in ("void only", "no classes"):
        labels = torch.full_like(labels, len(thing))
    threshold = 1.0 if kind == "below the threshold" else 0.0
    result = _run(masks, scores, labels, thing, Geometry(16, 16, 16, 16, 7, 9), (threshold, 0.8))
    assert torch.equal(result.segment_ids, torch.zeros(7, 9, dtype=torch.int32))
    assert result[1:] == ([], [], [], [], [])


def test_what_is_not_a_number_loses():
    masks, scores, labels = _blobs(6, 8, 8)
    geometry = Geometry(32, 32, 30, 32, 41, 37)
    spoilt, without = masks.clone(), masks.clone()
    spoilt[1] = float("nan")
    without[1] = -1e30
    rest = (scores, labels, THING, geometry, (0.0, 0.3))
    _same(_run(spoilt, *rest), _run(without, *rest))
    spoilt_scores = scores.clone()
    spoilt_scores[4] = float("nan")
    dropped = labels.clone()
    dropped[4] = CLASSES
    _same(_run(masks, spoilt_scores, *rest[1:]), _run(masks, scores, dropped, *rest[2:]))
    nothing = _run(torch.full_like(masks, float("nan")), *rest)
    assert nothing.classes == []


def test_partly_spoilt_masks_keep_what_is_sound():
    masks = torch.full((1, 4, 4), 5.0)
    masks[0, 0, 0] = float("nan")
    result = _run(
        masks,
        torch.tensor([0.9]),
        torch.tensor([0]),
        THING,
        Geometry(16, 16, 16, 16, 16, 16),
        (0.0, 0.8),
    )
    assert result.classes == [0]
    assert result.segment_ids[0, 0] == 0
    assert result.segment_ids[15, 15] == 1


def test_any_layout_gives_the_same():
    masks, scores, labels = _blobs(8, 8, 12)
    rest = (THING, Geometry(32, 48, 32, 48, 50, 60), (0.0, 0.5))
    scattered = masks.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    doubled = torch.stack((scores, scores), 1)[:, 0]
    _same(_run(scattered, doubled, labels, *rest), _run(masks, scores, labels, *rest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.zeros(3, 4)}, "for mask_logits"),
        ({1: torch.zeros(4)}, "for scores"),
        ({1: torch.zeros(3).double()}, "for scores"),
        ({2: torch.zeros(3)}, "for labels"),
        ({2: torch.tensor([0, 7, 0])}, "for labels"),
        ({2: torch.tensor([0, -1, 0])}, "for labels"),
        ({3: torch.zeros(6)}, "for thing"),
        ({4: [4, 4, 4, 4, 4]}, "for geometry"),
        ({5: float("nan")}, "for object_mask_threshold"),
        ({6: float("nan")}, "for overlap_threshold"),
    ],
)
def test_misfits_are_named(change, message):
    arguments = [
        torch.zeros(3, 4, 4),
        torch.zeros(3),
        torch.zeros(3, dtype=torch.int64),
        THING,
        [16, 16, 16, 16, 16, 16],
        0.0,
        0.8,
    ]
    for position, value in change.items():
        arguments[position] = value
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.panoptic_merge(*arguments)
