"""Dense layers against their textbook composition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.ops import load_ops

load_ops()
ACTIVATIONS = {
    "none": lambda y: y,
    "relu": F.relu,
    "gelu": F.gelu,
    "quick_gelu": lambda y: y * torch.sigmoid(1.702 * y),
}


def _relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return ((actual.double() - expected.double()).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shape", [(5, 7), (1, 7), (2, 30, 7), (0, 7)])
def test_linear_equals_the_float64_composition(activation, dtype, tolerance, shape):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(shape), torch.randn(11, 7), torch.randn(11)
    x, weight, bias = (t.to(dtype) for t in (x, weight, bias))
    actual = torch.ops.lexiseg.linear(x, weight, bias, activation)
    expected = ACTIVATIONS[activation](F.linear(x.double(), weight.double(), bias.double()))
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if expected.numel() > 0:
        assert _relative(actual, expected) < tolerance


def test_linear_takes_no_bias_and_any_layout():
    torch.manual_seed(1)
    x, weight = torch.randn(7, 5).t(), torch.randn(7, 11).t()
    actual = torch.ops.lexiseg.linear(x, weight, None)
    assert _relative(actual, F.linear(x.double(), weight.double())) < 1e-5


@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_linear_has_gradients(activation):
    torch.manual_seed(2)
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda *args: torch.ops.lexiseg.linear(*args, activation), (x, weight, bias)
    )


def test_quick_gelu_is_zero_far_down_and_the_identity_far_up():
    x = torch.tensor([[-1e30], [-200.0], [0.0], [200.0], [1e30], [float("nan")]])
    for dtype in (torch.float32, torch.bfloat16):
        one = torch.ones(1, 1, dtype=dtype)
        y = torch.ops.lexiseg.linear(x.to(dtype), one, None, "quick_gelu").flatten()
        assert torch.equal(y[:5], x.to(dtype).flatten()[:5].clamp(min=0))
        assert y[5].isnan()


def test_linear_names_an_unknown_activation():
    with pytest.raises(RuntimeError, match="Expected none, relu, gelu or quick_gelu"):
        torch.ops.lexiseg.linear(torch.randn(2, 3), torch.randn(4, 3), None, "swish")


def _bottleneck(rows: int, channels: int, dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(3)
    hidden = 4 * channels
    shapes = [
        (rows, channels),
        (rows, channels),
        (channels,),
        (channels,),
        (hidden, channels),
        (hidden,),
        (channels, hidden),
        (channels,),
        (channels,),
    ]
    return [(torch.randn(shape) / shape[-1] ** 0.5).to(dtype) for shape in shapes]


def _composed(tensors: list[torch.Tensor]) -> torch.Tensor:
    x, residual, norm_weight, norm_bias, w1, b1, w2, b2, gamma = (t.double() for t in tensors)
    y = F.layer_norm(x, (x.shape[-1],), norm_weight, norm_bias, 1e-6)
    return residual + gamma * F.linear(F.gelu(F.linear(y, w1, b1)), w2, b2)


def _run(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.ops.lexiseg.inverted_bottleneck(*tensors[:4], 1e-6, *tensors[4:])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("rows", [1, 3, 80_001])
@pytest.mark.parametrize("channels", [24, 32])
def test_inverted_bottleneck_equals_the_float64_composition(dtype, tolerance, rows, channels):
    """80,001 rows take several blocks, the last of another length."""
    tensors = _bottleneck(rows, channels, dtype)
    actual = _run(tensors)
    assert actual.dtype == dtype
    assert _relative(actual, _composed(tensors)) < tolerance


def test_inverted_bottleneck_keeps_leading_dimensions():
    tensors = _bottleneck(12, 8, torch.float32)
    flat = _run(tensors)
    tensors[0], tensors[1] = (t.view(1, 3, 4, 8) for t in tensors[:2])
    assert torch.allclose(_run(tensors).view(12, 8), flat)


def test_inverted_bottleneck_has_gradients():
    tensors = [t.double().requires_grad_() for t in _bottleneck(3, 4, torch.float32)]
    assert torch.autograd.gradcheck(lambda *args: _run(list(args)), tensors)


@pytest.mark.parametrize(
    ("place", "size", "name"),
    [
        (8, (0,), "gamma"),
        (8, (1,), "gamma"),
        (6, (1, 32), "fc2_weight"),
        (6, (8, 31), "fc2_weight"),
    ],
)
def test_inverted_bottleneck_refuses_parts_of_other_sizes(place, size, name):
    tensors = _bottleneck(5, 8, torch.float32)
    tensors[place] = torch.ones(size)
    with pytest.raises(RuntimeError, match=f"for {name}"):
        _run(tensors)
