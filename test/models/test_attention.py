"""The ways of attention, with gradients and without, give the same."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.ops import load_ops
from lexiseg_models.parts.attention import attend

load_ops()


def inputs(keys: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(keys)
    shapes = ((2, 4, keys, 16), (2, 4, keys, 16), (2, 4, keys, 16))
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("keys", [1, 33, 448, 449])
def test_what_learns_in_bfloat16_sees_what_float32_sees(causal, keys):
    learning = [x.requires_grad_() for x in inputs(keys, torch.bfloat16)]
    exact = [x.detach().double().requires_grad_() for x in learning]
    mixed = attend(*learning, causal=causal)
    expected = F.scaled_dot_product_attention(*exact, is_causal=causal)
    assert mixed.dtype == torch.bfloat16
    mixed.float().square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(mixed.double(), expected, rtol=0.02, atol=0.02)
    for one, other in zip(learning, exact, strict=True):
        scale = other.grad.abs().max()
        assert (one.grad.double() - other.grad).abs().max() <= 0.04 * scale + 0.02


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_what_does_not_learn_is_pytorchs_own(dtype):
    query, key, value = inputs(40, dtype)
    expected = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert torch.equal(attend(query, key, value, causal=True), expected)


def test_fewer_queries_than_keys():
    query, key, value = (x.requires_grad_() for x in inputs(40, torch.bfloat16))
    first = attend(query[:, :, :1], key, value, causal=False)
    with torch.no_grad():
        expected = attend(query[:, :, :1], key, value, causal=False)
    torch.testing.assert_close(first, expected, rtol=0.02, atol=0.02)
