"""Layer norm against its textbook composition."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.ops import load_ops

load_ops()


def _case(shape: tuple[int, ...], dtype: torch.dtype) -> list[torch.Tensor]:
    torch.manual_seed(len(shape) + shape[-1])
    width = shape[-1]
    x, added = 3.0 * torch.randn(shape) + 5.0, torch.randn(shape)
    return [t.to(dtype) for t in (x, torch.randn(width), torch.randn(width), added)]


def _expected(x, weight, bias, added=None) -> torch.Tensor:
    total = x.double() if added is None else x.double() + added.double()
    return F.layer_norm(total, [x.shape[-1]], weight.double(), bias.double(), 1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.bfloat16, 5e-3)])
@pytest.mark.parametrize(
    "shape", [(1, 16), (3, 48), (2, 700, 256), (5, 192), (4, 20), (2, 8192), (2, 8208), (0, 32)]
)
@pytest.mark.parametrize("is_sum", [False, True])
def test_equals_the_float64_composition(shape, dtype, tolerance, is_sum):
    x, weight, bias, added = _case(shape, dtype)
    other = added if is_sum else None
    actual = torch.ops.lexiseg.layer_norm(x, weight, bias, 1e-5, other)
    expected = _expected(x, weight, bias, other)
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    if expected.numel() > 0:
        # Where no kernel takes the width, a sum in bfloat16 is rounded before its norm.
        loose = 4.0 if shape[-1] % 16 or shape[-1] > 8192 else 1.0
        assert (actual - expected).abs().max() < loose * tolerance * expected.abs().max()


def test_any_layout_gives_the_same():
    x, weight, bias, added = _case((6, 5, 32), torch.float32)
    expected = torch.ops.lexiseg.layer_norm(x, weight, bias, 1e-5, added)
    turned = [t.transpose(0, 1).contiguous().transpose(0, 1) for t in (x, added)]
    actual = torch.ops.lexiseg.layer_norm(turned[0], weight, bias, 1e-5, turned[1])
    assert torch.equal(actual, expected)
    assert actual.is_contiguous()


def test_what_is_added_may_be_one_for_all():
    x, weight, bias, added = _case((6, 5, 32), torch.float32)
    actual = torch.ops.lexiseg.layer_norm(x, weight, bias, 1e-5, added[:1, :1])
    assert torch.allclose(actual.double(), _expected(x, weight, bias, added[:1, :1]), atol=1e-5)


def test_weights_may_be_wider_than_what_they_scale():
    x, weight, bias, _ = _case((4, 32), torch.bfloat16)
    actual = torch.ops.lexiseg.layer_norm(x, weight.float(), bias.float(), 1e-5)
    expected = _expected(x, weight, bias)
    assert (actual - expected).abs().max() < 1e-2 * expected.abs().max()


@pytest.mark.parametrize("is_sum", [False, True])
def test_has_gradients(is_sum):
    tensors = [t.requires_grad_() for t in _case((3, 16), torch.float64)]
    given = tensors if is_sum else tensors[:3]
    assert torch.autograd.gradcheck(
        lambda x, weight, bias, *added: torch.ops.lexiseg.layer_norm(x, weight, bias, 1e-5, *added),
        given,
    )


def test_rows_of_one_value_and_not_a_number_keep_to_themselves():
    x = torch.full((3, 32), 7.0)
    x[1] = float("nan")
    normed = torch.ops.lexiseg.layer_norm(x, torch.ones(32), torch.full((32,), 0.5), 1e-5)
    assert torch.allclose(normed[0], torch.full((32,), 0.5), atol=1e-3)
    assert bool(normed[1].isnan().all())
    assert torch.equal(normed[0], normed[2])


def test_misfits_are_named():
    x = torch.randn(2, 16)
    with pytest.raises(RuntimeError, match="weight"):
        torch.ops.lexiseg.layer_norm(x, torch.ones(8), torch.ones(16), 1e-5)
    with pytest.raises(RuntimeError, match="bias"):
        torch.ops.lexiseg.layer_norm(x, torch.ones(16), torch.ones(8), 1e-5)
    with pytest.raises(RuntimeError, match="dimension"):
        torch.ops.lexiseg.layer_norm(torch.tensor(1.0), torch.ones(1), torch.ones(1), 1e-5)
