"""Deformable attention on CUDA against loops in float64."""

from __future__ import annotations

import pytest
import references
import torch
from conftest import Backend

SHAPES = {
    "one level, one point": {"levels": [1, 1], "points": 1, "channels": 1},
    "three levels": {"levels": [2, 3, 4, 5, 7, 6], "points": 4, "channels": 8},
    "odd channels": {"levels": [3, 1, 1, 4], "points": 2, "channels": 5},
    "many channels": {"levels": [3, 4], "points": 3, "channels": 40},
}
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}


def _arguments(shape: str, dtype: torch.dtype, queries: int = 7, batch: int = 2):
    """value, spatial shapes, reference points, offsets (some far outside), logits, on the CPU."""
    case = SHAPES[shape]
    levels, heads = case["levels"], 2
    count, points = len(levels) // 2, case["points"]
    positions = sum(h * w for h, w in zip(levels[::2], levels[1::2], strict=True))
    rest = torch.float64 if dtype == torch.float64 else torch.float32
    value = torch.randn(batch, positions, heads, case["channels"]).to(dtype)
    reference = torch.rand(queries, 2, dtype=rest)
    offsets = 3 * torch.randn(batch, queries, heads, count, points, 2, dtype=rest)
    logits = 3 * torch.randn(batch, queries, heads, count * points, dtype=rest)
    return value, levels, reference, offsets, logits


def _on(backend: Backend, arguments):
    return [a.to(backend.device) if isinstance(a, torch.Tensor) else a for a in arguments]


def _close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    assert actual.shape == expected.shape
    error = (actual.double().cpu() - expected.double()).abs().max().item()
    assert error <= tolerance * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", SHAPES)
def test_it_equals_the_loops(backend, shape, dtype):
    arguments = _arguments(shape, dtype)
    actual = backend.ops.ms_deform_attn(*_on(backend, arguments))
    assert actual.dtype == dtype
    assert actual.device.type == backend.device.type
    _close(actual, references.deformable_attention(*arguments), TOLERANCES[dtype])


def test_it_takes_any_layout_and_offsets_of_another_dtype(backend):
    value, levels, reference, offsets, logits = _on(
        backend, _arguments("three levels", torch.bfloat16)
    )
    plain = backend.ops.ms_deform_attn(
        value, levels, reference, offsets.bfloat16(), logits.bfloat16()
    )
    shifted = torch.empty(value.numel() + 1, dtype=value.dtype, device=value.device)[1:]
    strided = backend.ops.ms_deform_attn(
        shifted.view_as(value).copy_(value),
        levels,
        reference.t().contiguous().t(),
        offsets.bfloat16().transpose(0, 1).contiguous().transpose(0, 1),
        logits.bfloat16().flip(0).flip(0),
    )
    assert torch.equal(plain, strided)


@pytest.mark.parametrize(("queries", "batch"), [(0, 1), (3, 0)])
def test_nothing_in_gives_nothing_out(backend, queries, batch):
    arguments = _on(backend, _arguments("three levels", torch.float32, queries, batch))
    assert backend.ops.ms_deform_attn(*arguments).shape == (batch, queries, 16)


def test_points_that_are_not_numbers_read_zeros(backend):
    value, levels, reference, offsets, logits = _arguments("three levels", torch.float32)
    offsets.fill_(float("nan"))
    offsets[..., 0, 0] = float("inf")
    out = backend.ops.ms_deform_attn(*_on(backend, (value, levels, reference, offsets, logits)))
    assert out.abs().max() == 0


def test_sizes_that_do_not_fit_are_refused(backend):
    value, levels, reference, offsets, logits = _on(
        backend, _arguments("three levels", torch.float32)
    )
    with pytest.raises(RuntimeError, match="positions"):
        backend.ops.ms_deform_attn(value[:, 1:], levels, reference, offsets, logits)
    with pytest.raises(RuntimeError, match="attention_logits"):
        backend.ops.ms_deform_attn(value, levels, reference, offsets, logits[..., 1:])
    with pytest.raises(RuntimeError, match="value"):
        backend.ops.ms_deform_attn(value.int(), levels, reference, offsets, logits)


def _reference_gradients(arguments, grad):
    value, levels, reference, offsets, logits = arguments
    leaves = [t.double().requires_grad_() for t in (value, offsets, logits)]

    def attend():
        # The loops read offsets as numbers, so grid_sample stands in where gradients are asked for.
        batch, _, heads, channels = value.shape
        points, total, start = offsets.shape[4], 0, 0
        weights = leaves[2].softmax(-1)
        for level in range(len(levels) // 2):
            height, width = levels[2 * level : 2 * level + 2]
            maps = leaves[0][:, start : start + height * width]
            start += height * width
            maps = maps.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
            scale = torch.tensor([width, height], dtype=torch.float64)
            grid = reference.double()[None, :, None, None] + leaves[1][:, :, :, level] / scale
            grid = (2 * grid - 1).transpose(1, 2).flatten(0, 1)
            samples = torch.nn.functional.grid_sample(maps, grid, align_corners=False)
            weight = weights[..., level * points : (level + 1) * points]
            weight = weight.transpose(1, 2).flatten(0, 1)[:, None]
            total = total + (samples * weight).sum(-1)
        return total.view(batch, heads * channels, -1).transpose(1, 2)

    return torch.autograd.grad(attend(), leaves, grad.double())


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_equal_those_of_grid_sample(backend, shape, dtype):
    arguments = _arguments(shape, dtype)
    grad = torch.randn(2, 7, 2 * SHAPES[shape]["channels"]).to(dtype)
    actual = backend.ops.ms_deform_attn_backward(*_on(backend, (grad, *arguments)))
    for name, own, expected in zip(
        ("value", "offsets", "logits"), actual, _reference_gradients(arguments, grad), strict=True
    ):
        assert own.dtype == {"value": dtype}.get(name, arguments[3].dtype)
        _close(own, expected, TOLERANCES[dtype])


def test_gradcheck(backend):
    if backend.name != "cuda":
        pytest.skip("the emulator has no autograd; its gradients are compared with grid_sample's")
    value, levels, reference, offsets, logits = _on(
        backend, _arguments("odd channels", torch.float64, queries=2, batch=1)
    )
    leaves = [t.requires_grad_() for t in (value, offsets, logits)]
    assert torch.autograd.gradcheck(
        lambda v, o, w: backend.ops.ms_deform_attn(v, levels, reference, o, w),
        leaves,
        nondet_tol=1e-10,
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_it_equals_the_cpu_kernel(backend, dtype):
    if backend.name != "cuda":
        pytest.skip("the ops library is loaded only beside the device")
    arguments = _arguments("three levels", dtype)
    own = backend.ops.ms_deform_attn(*_on(backend, arguments))
    _close(own, backend.ops.ms_deform_attn(*arguments), TOLERANCES[dtype])
