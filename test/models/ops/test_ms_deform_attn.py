"""Multi-scale deformable attention against loops, grid_sample and numerical gradients."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from .references import deformable_attention


class Inputs(NamedTuple):
    """The arguments of the operator, in its order."""

    value: Tensor
    spatial_shapes: list[int]
    reference_points: Tensor
    sampling_offsets: Tensor
    attention_logits: Tensor


def _inputs(
    shapes: list[int], *, batch=1, heads=2, width=5, points=3, queries=7, dtype=torch.float32
) -> Inputs:
    generator = torch.Generator().manual_seed(11)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)

    levels = len(shapes) // 2
    tokens = sum(h * w for h, w in zip(shapes[::2], shapes[1::2], strict=True))
    return Inputs(
        normal(batch, tokens, heads, width),
        shapes,
        torch.rand(queries, 2, generator=generator),
        3 * normal(batch, queries, heads, levels, points, 2),
        2 * normal(batch, queries, heads, levels * points),
    )


def _relative(actual: Tensor, expected: Tensor) -> float:
    scale = float(expected.abs().max())
    assert scale > 0
    return float((actual.double() - expected).abs().max()) / scale


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float32, 1e-5), (torch.bfloat16, 8e-3), (torch.float64, 1e-6)],
)
@pytest.mark.parametrize(
    "sizes",
    [
        {"shapes": [1, 1], "heads": 1, "width": 1, "points": 9, "queries": 1},
        {"shapes": [3, 5, 7, 2], "batch": 2},
        {"shapes": [4, 4], "width": 32, "points": 4},
        {"shapes": [2, 9, 3, 3, 5, 1], "width": 67, "queries": 3},
    ],
    ids=["one", "odd", "whole-lane", "lanes-and-rest"],
)
def test_equals_a_loop_over_samples(sizes, dtype, tolerance):
    inputs = _inputs(**sizes, dtype=dtype)
    actual = torch.ops.lexiseg.ms_deform_attn(*inputs)
    assert actual.dtype == dtype
    assert _relative(actual, deformable_attention(*inputs)) < tolerance


def test_equals_grid_sample():
    inputs = _inputs([20, 24, 10, 12, 5, 6], batch=2, heads=4, width=32, points=4, queries=600)
    value, shapes, reference, offsets, logits = inputs
    batch, _, heads, width = value.shape
    queries, levels, points = (offsets.shape[i] for i in (1, 3, 4))
    weights = logits.softmax(-1).view(batch, queries, heads, levels, points)
    expected = torch.zeros(batch, queries, heads, width)
    first = 0
    for level, (h, w) in enumerate(zip(shapes[::2], shapes[1::2], strict=True)):
        plane = value[:, first : first + h * w].permute(0, 2, 3, 1)
        first += h * w
        place = reference[None, :, None, None] + offsets[:, :, :, level] / torch.tensor([w, h])
        grid = (2 * place - 1).permute(0, 2, 1, 3, 4).reshape(-1, queries, points, 2)
        sampled = F.grid_sample(plane.reshape(-1, width, h, w), grid, align_corners=False)
        sampled = sampled.view(batch, heads, width, queries, points).permute(0, 3, 1, 4, 2)
        expected += (sampled * weights[:, :, :, level, :, None]).sum(3)
    actual = torch.ops.lexiseg.ms_deform_attn(*inputs)
    assert _relative(actual, expected.flatten(2).double()) < 1e-5


def test_mixed_dtypes_are_taken():
    """bfloat16 values with float32 offsets and logits, as float32 heads give them."""
    inputs = _inputs([6, 5], width=32)
    value = inputs.value.bfloat16()
    expected = deformable_attention(value, *inputs[1:])
    actual = torch.ops.lexiseg.ms_deform_attn(value, *inputs[1:])
    assert actual.dtype == torch.bfloat16
    assert _relative(actual, expected) < 8e-3
    half_logits = inputs._replace(value=value, attention_logits=inputs.attention_logits.bfloat16())
    assert _relative(torch.ops.lexiseg.ms_deform_attn(*half_logits), expected) < 2e-2


def test_any_layout_gives_the_same():
    inputs = _inputs([3, 5, 2, 2])

    def scattered(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)

    moved = [x if isinstance(x, list) else scattered(x) for x in inputs]
    assert not moved[0].is_contiguous()
    assert torch.equal(
        torch.ops.lexiseg.ms_deform_attn(*moved), torch.ops.lexiseg.ms_deform_attn(*inputs)
    )


@pytest.mark.parametrize("empty", ["batch", "heads", "width", "queries"])
def test_empty_inputs_give_empty_outputs(empty):
    inputs = _inputs([3, 4], **{empty: 0})
    out = torch.ops.lexiseg.ms_deform_attn(*inputs)
    assert out.shape == (
        inputs.value.shape[0],
        inputs.reference_points.shape[0],
        inputs.value.shape[2] * inputs.value.shape[3],
    )
    grads = torch.ops.lexiseg.ms_deform_attn_backward(out, *inputs)
    assert [g.shape for g in grads] == [inputs[i].shape for i in (0, 3, 4)]


def test_samples_outside_are_zero_and_nothing_else_is_read():
    """Infinite and NaN places count as outside, and so do values next to an edge."""
    value = torch.full((1, 4, 1, 3), float("inf"))
    for offset in (1e30, -1e30, float("inf"), float("nan"), 2.0, -2.0):
        out = torch.ops.lexiseg.ms_deform_attn(
            value,
            [2, 2],
            torch.full((1, 2), 0.5),
            torch.full((1, 1, 1, 1, 1, 2), offset),
            torch.zeros(1, 1, 1, 1),
        )
        assert torch.equal(out, torch.zeros(1, 1, 3)), offset


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_logit_that_is_no_number_spoils_its_own_query_alone(dtype):
    value, shapes, reference, offsets, logits = _inputs(shapes=[4, 4], points=4, dtype=dtype)
    expected = torch.ops.lexiseg.ms_deform_attn(value, shapes, reference, offsets, logits)
    logits[0, 1, 0, 2] = float("nan")
    actual = torch.ops.lexiseg.ms_deform_attn(value, shapes, reference, offsets, logits)
    spoiled = actual.isnan()
    width = value.shape[3]
    assert bool(spoiled[0, 1, :width].all())
    assert int(spoiled.sum()) == width
    assert torch.equal(actual[~spoiled], expected[~spoiled])


def test_gradients_equal_numerical_ones():
    inputs = _inputs([3, 4, 2, 3], batch=2, width=3, points=2, queries=4, dtype=torch.float64)
    value, offsets, logits = (inputs[i].requires_grad_() for i in (0, 3, 4))
    assert torch.autograd.gradcheck(
        lambda v, o, a: torch.ops.lexiseg.ms_deform_attn(v, *inputs[1:3], o, a),
        (value, offsets, logits),
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 1.5e-2)])
@pytest.mark.parametrize("width", [32, 40, 67])
def test_gradients_in_lower_precision_equal_float64_ones(dtype, tolerance, width):
    inputs = _inputs([6, 7, 3, 4], batch=2, width=width, points=4, queries=30, dtype=dtype)
    results = []
    for kind in (dtype, torch.float64):
        tensors = [inputs[i].detach().to(kind).requires_grad_() for i in (0, 3, 4)]
        out = torch.ops.lexiseg.ms_deform_attn(tensors[0], *inputs[1:3], *tensors[1:])
        weight = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view(out.shape)
        out.backward(weight.to(dtype).to(kind))
        assert all(t.grad is not None and t.grad.dtype == kind for t in tensors)
        results.append([t.grad for t in tensors])
    for actual, expected in zip(*results, strict=True):
        assert _relative(actual, expected) < tolerance


def test_shapes_are_known_without_data():
    inputs = _inputs([3, 4], batch=2, dtype=torch.bfloat16)
    shapes = [x if isinstance(x, list) else x.to("meta") for x in inputs]
    out = torch.ops.lexiseg.ms_deform_attn(*shapes)
    assert (out.shape, out.dtype) == ((2, 7, 10), torch.bfloat16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": torch.zeros(1, 12, 2)}, "with 4 dimensions for value"),
        ({"value": torch.zeros(1, 12, 2, 5, dtype=torch.int32)}, "for value"),
        ({"value": torch.zeros(1, 11, 2, 5)}, "11 tokens for spatial_shapes"),
        ({"value": torch.zeros(1, 13, 2, 5)}, "13 tokens for spatial_shapes"),
        ({"spatial_shapes": []}, "for spatial_shapes"),
        ({"spatial_shapes": [3]}, "for spatial_shapes"),
        ({"spatial_shapes": [3, 0]}, "for spatial_shapes"),
        ({"spatial_shapes": [-3, -4]}, "for spatial_shapes"),
        ({"spatial_shapes": [2**62, 4]}, "for spatial_shapes"),
        ({"reference_points": torch.zeros(6, 2)}, "for reference_points"),
        ({"reference_points": torch.zeros(7, 4)}, "for reference_points"),
        ({"sampling_offsets": torch.zeros(1, 7, 2, 2, 3, 2)}, "for sampling_offsets"),
        ({"sampling_offsets": torch.zeros(1, 7, 2, 1, 0, 2)}, "for sampling_offsets"),
        ({"sampling_offsets": torch.zeros(1, 7, 2, 1, 200, 2)}, "sampling points per head"),
        ({"attention_logits": torch.zeros(1, 7, 2, 4)}, "for attention_logits"),
    ],
)
def test_misfits_are_named(change, message):
    inputs = _inputs([3, 4])._replace(**change)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.ms_deform_attn(*inputs)
