"""Panoptic merge, instances and run lengths on CUDA against loops over whole masks."""

from __future__ import annotations

import pytest
import references
import torch
from scenes import GEOMETRIES, blobs, probabilities


def _merge(backend, mask_logits, scores, labels, thing, geometry, thresholds=(0.0, 0.8)):
    tensors = [t.to(backend.device) for t in (mask_logits, scores, labels, thing)]
    segment_ids, *rest = backend.ops.panoptic_merge(*tensors, geometry, *thresholds)
    assert segment_ids.dtype == torch.int32
    assert segment_ids.shape == geometry[4:]
    return segment_ids.cpu(), *(t.cpu() for t in rest)


def _panoptic_case(queries, classes, geometry):
    """mask logits, scores, labels, thing; about every fourth query is void."""
    probs = probabilities(queries, classes)
    probs[::4, -1] = 2
    scores, labels = probs.max(-1)
    return blobs(queries, geometry), scores, labels, torch.arange(classes) % 2 == 0


@pytest.mark.parametrize("thresholds", [(0.0, 0.8), (0.0, 0.0), (0.6, 0.3)])
@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize(("queries", "classes"), [(1, 1), (12, 4), (40, 3)])
def test_segments_are_those_of_the_definition(backend, name, queries, classes, thresholds):
    geometry = GEOMETRIES[name]
    case = _panoptic_case(queries, classes, geometry)
    segment_ids, labels, scores, areas, boxes, queries = _merge(
        backend, *case, geometry, thresholds
    )
    expected = references.panoptic(*case, geometry, thresholds)
    assert labels.tolist() == expected.classes
    assert case[2][queries].tolist() == expected.classes
    assert scores.tolist() == expected.scores
    assert (segment_ids != expected.segment_ids).double().mean() < 1e-3
    # The arrays tell of this map, whichever way a pixel on an edge went.
    for i, (area, own_box) in enumerate(zip(areas.tolist(), boxes.tolist(), strict=True)):
        mask = segment_ids == i + 1
        assert area == mask.sum()
        assert own_box == references.box(mask)


def test_stuff_of_one_class_is_one_segment_and_things_are_not(backend):
    geometry = (32, 32, 32, 32, 32, 32)
    mask_logits = torch.full((4, 8, 8), -9.0)
    for q in range(4):
        mask_logits[q, :, 2 * q : 2 * q + 2] = 9.0
    scores = torch.tensor([0.5, 0.6, 0.9, 0.8])
    labels = torch.tensor([0, 1, 0, 1])
    thing = torch.tensor([False, True])
    ids, classes, best, areas, boxes, queries = _merge(
        backend, mask_logits, scores, labels, thing, geometry
    )
    assert classes.tolist() == [0, 1, 1]
    assert queries.tolist() == [0, 1, 3]
    assert best.tolist() == scores[[2, 1, 3]].tolist()
    assert ids[0, [0, 12, 20, 31]].tolist() == [1, 2, 1, 3]
    assert areas.tolist() == [512, 256, 256]
    assert boxes.tolist() == [[0, 0, 24, 32], [8, 0, 8, 32], [24, 0, 8, 32]]


def test_only_void_gives_an_empty_map(backend):
    geometry = GEOMETRIES["smaller"]
    case = (blobs(3, geometry), torch.ones(3), torch.full((3,), 2), torch.tensor([True, False]))
    ids, classes, _, areas, boxes, _ = _merge(backend, *case, geometry)
    assert (ids == 0).all()
    assert classes.shape == areas.shape == (0,)
    assert boxes.shape == (0, 4)


def test_no_queries_give_an_empty_map(backend):
    geometry = GEOMETRIES["smaller"]
    case = (torch.zeros(0, 4, 4), torch.zeros(0), torch.zeros(0).long(), torch.tensor([True]))
    ids, classes, *_ = _merge(backend, *case, geometry)
    assert (ids == 0).all()
    assert classes.shape == (0,)


def _select(backend, mask_logits, class_probs, thing, geometry, top_k=100, things_only=True):
    tensors = [t.to(backend.device) for t in (mask_logits, class_probs, thing)]
    found = backend.ops.select_instances(*tensors, geometry, top_k, things_only)
    return tuple(t.cpu() for t in found)


@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize(("queries", "classes", "top_k"), [(1, 1, 100), (9, 4, 20), (30, 5, 100)])
def test_instances_are_those_of_the_definition(backend, name, queries, classes, top_k):
    geometry = GEOMETRIES[name]
    mask_logits = blobs(queries, geometry)
    class_probs = probabilities(queries, classes)[:, :-1]
    thing = torch.arange(classes) != 2
    counts, offsets, labels, scores, areas, boxes = _select(
        backend, mask_logits, class_probs, thing, geometry, top_k
    )
    expected = references.instances(mask_logits, class_probs, thing, geometry, top_k)
    assert labels.tolist() == [label for _, label, _ in expected]
    for i, (score, _, mask) in enumerate(expected):
        runs = counts[offsets[i] : offsets[i + 1]].tolist()
        assert runs == references.run_lengths(mask)
        assert areas[i] == mask.sum()
        assert boxes[i].tolist() == references.box(mask)
        assert scores[i].item() == pytest.approx(score, rel=1e-5)


def test_stuff_stays_where_it_is_wanted_and_empty_masks_never(backend):
    geometry = GEOMETRIES["identity"]
    mask_logits = torch.stack([torch.full((2, 2), 5.0), torch.full((2, 2), -5.0)])
    class_probs = torch.tensor([[0.3, 0.6], [0.9, 0.8]])
    thing = torch.tensor([True, False])
    _, _, both, *_ = _select(backend, mask_logits, class_probs, thing, geometry, 4, False)
    assert both.tolist() == [1, 0]
    _, _, things, *_ = _select(backend, mask_logits, class_probs, thing, geometry, 4, True)
    assert things.tolist() == [0]
    # The two best pairs belong to the empty mask: the choice comes before everything else.
    counts, offsets, none, *_ = _select(
        backend, mask_logits, class_probs, thing, geometry, 2, False
    )
    assert (counts.numel(), offsets.tolist(), none.numel()) == (0, [0], 0)


def test_probabilities_that_are_not_numbers_are_passed_over(backend):
    class_probs = torch.tensor([[float("nan"), 0.25], [0.5, float("nan")]])
    found = _select(
        backend,
        torch.ones(2, 2, 2),
        class_probs,
        torch.ones(2, dtype=torch.bool),
        GEOMETRIES["identity"],
    )
    assert found[2].tolist() == [0, 1]


def test_a_mask_that_is_not_a_number_covers_nothing(backend):
    geometry = GEOMETRIES["identity"]
    mask_logits = torch.stack([torch.full((2, 2), float("nan")), torch.ones(2, 2)])
    scores, labels = torch.tensor([0.9, 0.5]), torch.tensor([0, 1])
    thing = torch.tensor([True, True])
    ids, classes, *_ = _merge(backend, mask_logits, scores, labels, thing, geometry)
    assert (ids == 1).all()
    assert classes.tolist() == [1]


def test_equal_pairs_keep_their_order(backend):
    geometry = GEOMETRIES["identity"]
    class_probs = torch.full((3, 4), 0.25)
    found = _select(
        backend, torch.ones(3, 2, 2), class_probs, torch.ones(4, dtype=torch.bool), geometry, 6
    )
    assert found[2].tolist() == [0, 1, 2, 3, 0, 1]


@pytest.mark.parametrize(
    "shape", [(0, 3, 4), (1, 1, 1), (3, 5, 7), (2, 1, 9), (2, 0, 3), (4, 64, 33)]
)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool])
def test_runs_are_those_of_the_definition(backend, shape, dtype):
    masks = torch.rand(shape).gt(0.6).to(dtype)
    if dtype == torch.uint8:
        masks = masks * 7
    counts, offsets = backend.ops.rle_encode(masks.to(backend.device))
    counts, offsets = counts.tolist(), offsets.tolist()
    assert len(offsets) == shape[0] + 1
    for i, mask in enumerate(masks):
        assert counts[offsets[i] : offsets[i + 1]] == references.run_lengths(mask)


@pytest.mark.parametrize("value", [0, 1])
def test_plain_masks_have_one_run_of_their_value(backend, value):
    masks = torch.full((2, 3, 4), value, dtype=torch.uint8).transpose(1, 2)
    counts, _ = backend.ops.rle_encode(masks.to(backend.device))
    assert counts.tolist() == [[12], [0, 12]][value] * 2


def test_decoded_runs_are_the_masks(backend):
    if backend.name != "cuda":
        pytest.skip("decoding is the CPU kernel's, reached through the device's dispatch only")
    masks = torch.rand(3, 9, 5).gt(0.5).to(torch.uint8).to(backend.device)
    counts, offsets = backend.ops.rle_encode(masks)
    back = backend.ops.rle_decode(counts.to(backend.device), offsets, 9, 5)
    assert torch.equal(back, masks)


def test_an_assignment_stays_on_the_device(backend):
    if backend.name != "cuda":
        pytest.skip("the assignment is the CPU's, reached through the device's dispatch only")
    cost = torch.tensor([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]], device=backend.device)
    rows, columns = backend.ops.linear_sum_assignment(cost)
    assert rows.device == cost.device
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 0])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_segments_equal_those_of_the_cpu_kernel(backend, name):
    if backend.name != "cuda":
        pytest.skip("the ops library is loaded only beside the device")
    geometry = GEOMETRIES[name]
    case = _panoptic_case(40, 6, geometry)
    own = _merge(backend, *case, geometry)
    cpu = backend.ops.panoptic_merge(*case, geometry, 0.0, 0.8)
    assert own[1].tolist() == cpu[1].tolist()
    assert (own[0] != cpu[0]).double().mean() < 1e-3
