"""Mask pooling against a loop over masks, and its gradient against the composition's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


def _reference(features: Tensor, mask_logits: Tensor) -> Tensor:
    """float64 [B, Q, C], one mask at a time."""
    batch, queries = mask_logits.shape[:2]
    out = torch.zeros(batch, queries, features.shape[1], dtype=torch.float64)
    for b in range(batch):
        for q in range(queries):
            inside = mask_logits[b, q] > 0
            if bool(inside.any()):
                out[b, q] = features[b, :, inside].double().mean(dim=1)
    return out


def _inputs(size: tuple[int, int, int, int, int]) -> tuple[Tensor, Tensor]:
    """B, C, Q, h, w. Masks are noise, a disc, everything and nothing."""
    batch, channels, queries, height, width = size
    generator = torch.Generator().manual_seed(sum(size))
    features = torch.randn(batch, channels, height, width, generator=generator)
    masks = torch.randn(batch, queries, height, width, generator=generator)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    shapes = [height / 3 - (y - height / 2).hypot(x - width / 2), torch.ones(1), -torch.ones(1)]
    for q, shape in zip(range(1, queries), shapes, strict=False):
        masks[:, q] = shape
    return features, masks


SIZES = [
    (1, 1, 1, 1, 1),
    (2, 3, 5, 7, 9),
    (1, 256, 4, 8, 8),
    (2, 300, 6, 33, 70),
    (1, 16, 4, 1, 31),
    (1, 20, 5, 61, 47),
]


@pytest.mark.parametrize("dtypes", ["float32", "bfloat16", "bfloat16 features", "bfloat16 masks"])
@pytest.mark.parametrize("size", SIZES)
def test_equals_a_loop_over_masks(size, dtypes):
    features, masks = _inputs(size)
    if dtypes in ("bfloat16", "bfloat16 features"):
        features = features.bfloat16()
    if dtypes in ("bfloat16", "bfloat16 masks"):
        masks = masks.bfloat16()
    actual = torch.ops.lexiseg.mask_pooling(features, masks)
    assert actual.dtype == torch.float32
    assert torch.allclose(actual.double(), _reference(features, masks), atol=1e-5, rtol=1e-5)


def test_any_layout_gives_the_same():
    features, masks = _inputs((2, 40, 6, 20, 50))
    expected = torch.ops.lexiseg.mask_pooling(features, masks)
    last = features.contiguous(memory_format=torch.channels_last)
    assert torch.equal(torch.ops.lexiseg.mask_pooling(last, masks), expected)
    turned = features.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    scattered = masks.permute(2, 3, 0, 1).contiguous().permute(2, 3, 0, 1)
    assert torch.equal(torch.ops.lexiseg.mask_pooling(turned, scattered), expected)
    window = torch.zeros(2, 40, 24, 60)
    window[:, :, 2:22, 5:55] = features
    part = window[:, :, 2:22, 5:55]
    assert torch.equal(torch.ops.lexiseg.mask_pooling(part, masks), expected)


@pytest.mark.parametrize(
    "size", [(0, 3, 2, 4, 4), (1, 0, 2, 4, 4), (1, 3, 0, 4, 4), (1, 3, 2, 0, 4)]
)
def test_empty_inputs_give_empty_or_zero_outputs(size):
    batch, channels, queries, height, width = size
    out = torch.ops.lexiseg.mask_pooling(
        torch.zeros(batch, channels, height, width), torch.zeros(batch, queries, height, width)
    )
    assert torch.equal(out, torch.zeros(batch, queries, channels))


def test_what_is_not_a_number_is_outside():
    features, masks = _inputs((1, 8, 2, 6, 6))
    spoilt = masks.clone()
    spoilt[:, :, 2:4] = float("nan")
    masks[:, :, 2:4] = -1
    actual = torch.ops.lexiseg.mask_pooling(features, spoilt)
    assert torch.equal(actual, torch.ops.lexiseg.mask_pooling(features, masks))
    features[:, :, 2:4] = float("nan")
    assert torch.equal(torch.ops.lexiseg.mask_pooling(features, masks), actual)


def test_the_number_of_threads_changes_nothing():
    features, masks = _inputs((1, 64, 8, 130, 70))
    expected = torch.ops.lexiseg.mask_pooling(features, masks)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert torch.equal(torch.ops.lexiseg.mask_pooling(features, masks), expected)
    finally:
        torch.set_num_threads(threads)


def test_gradients_equal_those_of_the_composition():
    features, masks = _inputs((2, 5, 5, 9, 11))
    weight = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(1))
    gradients = []
    for composed in (False, True):
        leaf = features.clone().requires_grad_()
        if composed:
            inside = (masks > 0).flatten(2).float()
            total = inside @ leaf.flatten(2).transpose(1, 2)
            out = total / (inside.sum(2, keepdim=True) + 1e-8)
        else:
            out = torch.ops.lexiseg.mask_pooling(leaf, masks.clone().requires_grad_())
        (out * weight).sum().backward()
        gradients.append(leaf.grad)
    assert torch.allclose(*gradients, atol=1e-6)


@pytest.mark.parametrize(
    ("features", "masks", "message"),
    [
        (torch.zeros(3, 4, 4), torch.zeros(1, 2, 4, 4), "for features"),
        (torch.zeros(1, 3, 4, 4).int(), torch.zeros(1, 2, 4, 4), "for features"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 4).bool(), "for mask_logits"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 2, 4, 5), "for mask_logits"),
        (torch.zeros(2, 3, 4, 4), torch.zeros(1, 2, 4, 4), "for mask_logits"),
    ],
)
def test_misfits_are_named(features, masks, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.mask_pooling(features, masks)
