"""Attention against its textbook composition in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.ops import load_ops

load_ops()

DTYPES = [(torch.float32, 3e-6), (torch.bfloat16, 1e-2)]


def _case(dtype: torch.dtype, *, queries: int, keys: int, width: int) -> list[torch.Tensor]:
    torch.manual_seed(queries + keys + width)
    counts = (queries, keys, keys)
    return [(1.5 * torch.randn(2, 3, n, width)).to(dtype) for n in counts]


def _expected(query, key, value) -> torch.Tensor:
    query, key, value = query.double(), key.double(), value.double()
    return (query @ key.transpose(2, 3) / query.shape[3] ** 0.5).softmax(3) @ value


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("width", [16, 32, 48, 64, 80, 128, 24, 144])
@pytest.mark.parametrize(
    ("queries", "keys"), [(1, 1), (1, 257), (5, 2), (48, 64), (50, 50), (97, 513), (7, 1000)]
)
def test_equals_the_float64_composition(dtype, tolerance, width, queries, keys):
    case = _case(dtype, queries=queries, keys=keys, width=width)
    mixed = torch.ops.lexiseg.attention(*case)
    assert mixed.dtype == dtype
    assert mixed.shape == (2, 3, queries, width)
    assert (mixed.double() - _expected(*case)).abs().max() < tolerance * case[2].abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_layout_gives_the_same(dtype):
    case = _case(dtype, queries=33, keys=70, width=32)
    expected = torch.ops.lexiseg.attention(*case)
    packed = [t.transpose(1, 2).contiguous().transpose(1, 2) for t in case]
    turned = [t.transpose(2, 3).contiguous().transpose(2, 3) for t in case]
    assert torch.equal(torch.ops.lexiseg.attention(*packed), expected)
    assert torch.equal(torch.ops.lexiseg.attention(*turned), expected)
    query = case[0][:1].expand(2, -1, -1, -1)
    alike = torch.ops.lexiseg.attention(query, *case[1:])
    assert torch.equal(alike, torch.ops.lexiseg.attention(query.contiguous(), *case[1:]))


def test_threads_do_not_change_the_result():
    case = _case(torch.float32, queries=300, keys=700, width=64)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = torch.ops.lexiseg.attention(*case)
        torch.set_num_threads(4)
        assert torch.equal(torch.ops.lexiseg.attention(*case), alone)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_scores_far_apart_neither_overflow_nor_vanish(dtype, tolerance, factor):
    # The largest score comes last, or first; all others are hundreds below.
    query = torch.full((1, 1, 3, 64), 8.0, dtype=dtype)
    steps = factor * torch.arange(600, dtype=torch.float64) / 8
    key = steps.to(dtype)[None, None, :, None].expand(1, 1, 600, 64)
    value = torch.randn(1, 1, 600, 64).to(dtype)
    mixed = torch.ops.lexiseg.attention(query, key, value)
    assert (mixed.double() - _expected(query, key, value)).abs().max() < 4 * tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_not_a_number_keeps_to_its_query_and_head(dtype):
    query, key, value = _case(dtype, queries=60, keys=300, width=32)
    query[0, 0, 7, 3] = float("nan")
    key[1, 2, 299, 0] = float("nan")
    mixed = torch.ops.lexiseg.attention(query, key, value)
    broken = torch.zeros(2, 3, 60, dtype=torch.bool)
    broken[0, 0, 7] = True
    broken[1, 2] = True
    assert torch.equal(mixed.isnan().all(3), broken)
    assert torch.equal(mixed.isnan().any(3), broken)


def test_has_gradients():
    case = [t.double().requires_grad_() for t in _case(torch.float32, queries=3, keys=4, width=16)]
    assert torch.autograd.gradcheck(torch.ops.lexiseg.attention, case)


def test_none_of_an_image_is_none_of_a_result():
    query, key, value = _case(torch.float32, queries=3, keys=4, width=16)
    assert torch.ops.lexiseg.attention(query[:0], key[:0], value[:0]).shape == (0, 3, 3, 16)
    assert torch.ops.lexiseg.attention(query[:, :, :0], key, value).shape == (2, 3, 0, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, k, v: (q[0], k, v), "query"),
        (lambda q, k, v: (q.long(), k.long(), v.long()), "a floating dtype for query"),
        (lambda q, k, v: (q, k.double(), v), "key"),
        (lambda q, k, v: (q, k[:, :2], v), "key"),
        (lambda q, k, v: (q, k[..., :8], v), "key"),
        (lambda q, k, v: (q, k, v[:, :, 1:]), "value"),
        (lambda q, k, v: (q, k[:, :, :0], v[:, :, :0]), "at least one key"),
    ],
)
def test_names_what_does_not_fit(change, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.attention(*change(*_case(torch.float32, queries=3, keys=4, width=16)))


def test_equals_pytorchs_own_in_shape_of_strides():
    case = _case(torch.float32, queries=10, keys=12, width=32)
    mixed = torch.ops.lexiseg.attention(*case).transpose(1, 2)
    assert mixed.is_contiguous()
    own = F.scaled_dot_product_attention(*case).transpose(1, 2)
    torch.testing.assert_close(mixed, own, rtol=1e-5, atol=1e-5)


def test_the_one_in_the_place_of_pytorchs_own_looks_at_the_number_of_keys():
    query, key, value = _case(torch.float32, queries=10, keys=12, width=32)
    own = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    assert torch.equal(torch.ops.lexiseg.checked_attention(query, key, value, is_causal=True), own)
    with pytest.raises(RuntimeError, match="as many keys as in"):
        torch.ops.lexiseg.checked_attention(query, key[:, :, :5], value)
