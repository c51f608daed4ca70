"""The label map on CUDA against scores of all classes at all pixels, in float64."""

from __future__ import annotations

import pytest
import references
import torch
from scenes import GEOMETRIES, blobs, probabilities


def _label_map(backend, mask_logits, class_probs, geometry, resize_scores=False):
    labels, scores = backend.ops.label_map(
        mask_logits.to(backend.device), class_probs.to(backend.device), geometry, resize_scores
    )
    assert labels.dtype == torch.int32
    assert labels.shape == scores.shape == geometry[4:]
    return labels.cpu().long(), scores.cpu()


@pytest.mark.parametrize("resize_scores", [False, True])
@pytest.mark.parametrize("name", GEOMETRIES)
@pytest.mark.parametrize(("queries", "classes"), [(1, 1), (5, 3), (20, 41)])
def test_it_takes_the_best_class_of_every_pixel(backend, name, queries, classes, resize_scores):
    geometry = GEOMETRIES[name]
    mask_logits = blobs(queries, geometry)
    class_probs = probabilities(queries, classes)[:, :-1]
    labels, scores = _label_map(backend, mask_logits, class_probs, geometry, resize_scores)
    expected = references.class_scores(mask_logits, class_probs, geometry, resize_scores)
    best = expected.max(0).values
    assert (scores - best).abs().max() < 1e-5
    # A class that is as good but for rounding may be chosen.
    assert (best - expected.gather(0, labels[None])[0]).max() < 1e-5


def test_more_pixels_than_a_tile_are_all_labelled(backend):
    geometry = (8, 8, 8, 8, 90, 70)
    mask_logits = blobs(2, geometry)
    # 64 MB hold 1,118 pixels of 15,000 classes.
    class_probs = probabilities(2, 15_000)[:, :-1]
    labels, _ = _label_map(backend, mask_logits, class_probs, geometry)
    expected = references.class_scores(mask_logits, class_probs, geometry, False)
    chosen = expected.gather(0, labels[None])[0]
    assert (expected.max(0).values - chosen).max() < 1e-5


@pytest.mark.parametrize("classes", [2, 7, 8, 9, 30])
def test_equal_classes_give_the_lower_one(backend, classes):
    geometry = GEOMETRIES["smaller"]
    # Whole eighths add up exactly, whatever the order of the matrix product.
    mask_logits = torch.full((4, 16, 16), float("inf"))
    shared = torch.tensor([[0.5], [0.125], [0.25], [0.375]])
    lower = torch.cat([0.5 * shared, shared.expand(4, classes)], dim=1)
    labels, _ = _label_map(backend, mask_logits, lower, geometry)
    assert (labels == 1).all()


def test_logits_without_end_are_certain(backend):
    geometry = GEOMETRIES["larger"]
    mask_logits = torch.full((2, 16, 24), float("-inf"))
    mask_logits[0] = float("inf")
    labels, scores = _label_map(backend, mask_logits, torch.eye(2), geometry)
    assert (labels == 0).all()
    assert (scores == 1).all()


@pytest.mark.parametrize("resize_scores", [False, True])
def test_what_is_no_number_loses(backend, resize_scores):
    geometry = GEOMETRIES["larger"]
    mask_logits = torch.ones(2, 16, 24)
    mask_logits[0] = float("nan")
    labels, scores = _label_map(backend, mask_logits, torch.eye(2), geometry, resize_scores)
    assert (labels == 1).all()
    assert ((scores > 0.7) & (scores < 0.75)).all()
    mask_logits[0, :, ::2], mask_logits[0, :, 1::2] = float("inf"), float("-inf")
    labels, scores = _label_map(backend, mask_logits, torch.eye(2), geometry, resize_scores)
    assert bool(scores.isfinite().all())
    none = torch.full((2, 3), float("nan"))
    labels, scores = _label_map(backend, torch.ones(2, 16, 24), none, geometry, resize_scores)
    assert (labels == -1).all()
    assert (scores == 0).all()


def test_no_queries_give_no_class(backend):
    geometry = GEOMETRIES["smaller"]
    labels, scores = _label_map(backend, torch.zeros(0, 4, 4), torch.zeros(0, 3), geometry)
    assert (labels == -1).all()
    assert (scores == 0).all()


def test_arguments_that_do_not_fit_are_refused(backend):
    mask_logits, class_probs = blobs(3, (8, 8)), torch.rand(3, 2)
    geometry = GEOMETRIES["identity"]
    with pytest.raises(RuntimeError, match="class_probs"):
        _label_map(backend, mask_logits, class_probs[1:], geometry)
    with pytest.raises(RuntimeError, match="mask_logits"):
        _label_map(backend, mask_logits.double(), class_probs, geometry)
    with pytest.raises(RuntimeError, match="geometry"):
        _label_map(backend, mask_logits, class_probs, (8, 8, 9, 8, 8, 8))
    with pytest.raises(RuntimeError, match="geometry"):
        _label_map(backend, mask_logits, class_probs, (8, 8, 8))
