"""Products of queries with maps, in whatever layout the maps lie."""

from __future__ import annotations

import pytest
import torch
from lexiseg_models.parts.linear import dot_products


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_equal_the_float64_products(batch, channels_last, dtype, tolerance):
    torch.manual_seed(0)
    rows, maps = torch.randn(batch, 7, 16).to(dtype), torch.randn(batch, 16, 5, 6).to(dtype)
    if channels_last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    actual = dot_products(rows, maps.flatten(2))
    expected = torch.bmm(rows.double(), maps.flatten(2).double())
    assert actual.dtype == dtype
    assert actual.is_contiguous()
    assert (actual - expected).abs().max() < tolerance * expected.abs().max()


def test_have_gradients():
    torch.manual_seed(1)
    rows = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    columns = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(dot_products, (rows, columns))
