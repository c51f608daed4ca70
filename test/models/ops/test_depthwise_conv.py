"""Depthwise convolution and its gradients, against float64 and autograd of ATen's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.ops import load_ops
from torch import Tensor

load_ops()


def _arguments(
    size: tuple[int, int, int, int], dtype: torch.dtype, side: int = 7
) -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    channels = size[1]
    x = torch.randn(size, generator=g).to(dtype).contiguous(memory_format=torch.channels_last)
    weight = 0.2 * torch.randn(channels, 1, side, side, generator=g)
    return x, weight.to(dtype), torch.randn(channels, generator=g).to(dtype)


def _gradients(run, arguments, pull: Tensor) -> list[Tensor]:
    leaves = [t.detach().clone().requires_grad_() for t in arguments]
    y = run(*leaves)
    y.backward(pull.to(y.dtype))
    return [y.detach(), *(t.grad for t in leaves)]


def _composed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2, groups=weight.shape[0])


def _relative(actual: Tensor, expected: Tensor) -> float:
    return ((actual.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(
    "size", [(2, 48, 12, 20), (1, 32, 1, 1), (3, 5, 2, 9), (1, 70, 9, 3), (2, 64, 30, 4)]
)
def test_gradients_equal_those_of_float64(size, dtype, tolerance):
    """Maps smaller than the weights reach, and channels that fill no vector."""
    arguments = _arguments(size, dtype)
    pull = torch.randn(size, generator=torch.Generator().manual_seed(1)).to(dtype)
    actual = _gradients(torch.ops.lexiseg.depthwise_conv, arguments, pull)
    expected = _gradients(_composed, [t.double() for t in arguments], pull.double())
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == dtype
        assert _relative(one, other) < tolerance


@pytest.mark.parametrize("side", [1, 3, 5, 9])
def test_weights_of_other_sizes_have_gradients(side):
    arguments = _arguments((1, 4, 6, 5), torch.float64, side)
    leaves = [t.requires_grad_() for t in arguments]
    assert torch.autograd.gradcheck(torch.ops.lexiseg.depthwise_conv, leaves)


def test_gradients_do_not_depend_on_the_number_of_threads():
    arguments = _arguments((2, 96, 17, 13), torch.bfloat16)
    pull = torch.randn(2, 96, 17, 13).to(torch.bfloat16)
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append(_gradients(torch.ops.lexiseg.depthwise_conv, arguments, pull)[2])
    torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_autocast_trains_float32_weights_in_bfloat16():
    x, weight, bias = (t.requires_grad_() for t in _arguments((1, 32, 8, 8), torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        y = torch.ops.lexiseg.depthwise_conv(x, weight, bias)
    assert y.dtype == torch.bfloat16
    y.sum().backward()
    assert x.grad.dtype == weight.grad.dtype == bias.grad.dtype == torch.float32
    expected = _gradients(_composed, [t.double() for t in (x, weight, bias)], torch.ones(x.shape))
    assert _relative(weight.grad, expected[2]) < 1e-2


def test_only_what_learns_gets_a_gradient():
    x, weight, bias = _arguments((1, 32, 8, 8), torch.float32)
    weight.requires_grad_()
    torch.ops.lexiseg.depthwise_conv(x, weight, None).sum().backward()
    assert x.grad is None and weight.grad is not None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({0: torch.ones(4, 6)}, "x"),
        ({0: torch.ones(1, 5, 6, 6)}, "x"),
        ({1: torch.ones(4, 2, 7, 7)}, "weight"),
        ({1: torch.ones(4, 1, 7, 5)}, "weight"),
        ({1: torch.ones(4, 1, 4, 4)}, "weight"),
        ({2: torch.ones(3)}, "bias"),
    ],
)
def test_other_sizes_are_refused(change, name):
    arguments = dict(enumerate(_arguments((1, 4, 6, 6), torch.float32))) | change
    with pytest.raises(RuntimeError, match=f"for {name}"):
        torch.ops.lexiseg.depthwise_conv(*arguments.values())
