"""Assignments against SciPy and against all permutations."""

from __future__ import annotations

import itertools

import pytest
import torch


def _solve(cost: torch.Tensor) -> tuple[list[int], list[int]]:
    rows, columns = torch.ops.lexiseg.linear_sum_assignment(cost)
    assert rows.dtype == columns.dtype == torch.int64
    return rows.tolist(), columns.tolist()


def _total(cost: torch.Tensor, rows: list[int], columns: list[int]) -> float:
    return float(cost.double()[rows, columns].sum())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (4, 4), (3, 6), (6, 3), (1, 5), (5, 1)])
def test_no_permutation_is_cheaper(size, dtype):
    cost = torch.randn(size, generator=torch.Generator().manual_seed(sum(size))).to(dtype)
    rows, columns = _solve(cost)
    assert len(rows) == len(set(columns)) == min(size)
    assert rows == sorted(set(rows))
    wide = cost if size[0] <= size[1] else cost.T
    cheapest = min(
        _total(wide, list(range(len(wide))), list(order))
        for order in itertools.permutations(range(wide.shape[1]), len(wide))
    )
    assert _total(cost, rows, columns) == pytest.approx(cheapest, abs=1e-9)


@pytest.mark.parametrize("size", [(250, 40), (40, 250), (120, 120)])
def test_equals_scipy(size):
    optimize = pytest.importorskip("scipy.optimize")
    generator = torch.Generator().manual_seed(9)
    for cost in (
        torch.randn(size, generator=generator) * 5,
        torch.randint(-3, 4, size, generator=generator).float(),
        torch.full(size, 2.5),
        torch.rand(size, generator=generator) * 1e30,
    ):
        rows, columns = _solve(cost)
        expected = optimize.linear_sum_assignment(cost.double().numpy())
        assert len(set(rows)) == len(set(columns)) == min(size)
        assert _total(cost, rows, columns) == pytest.approx(
            float(cost.double().numpy()[expected].sum()), rel=1e-12
        )


@pytest.mark.parametrize("size", [(0, 0), (0, 4), (4, 0)])
def test_empty_costs_give_no_pairs(size):
    assert _solve(torch.zeros(size)) == ([], [])


def test_any_layout_gives_the_same():
    cost = torch.randn(9, 14, generator=torch.Generator().manual_seed(4))
    assert _solve(cost.T.contiguous().T) == _solve(cost)
    doubled = torch.stack((cost, cost), 2)[..., 0]
    assert not doubled.is_contiguous()
    assert _solve(doubled) == _solve(cost)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_first_cost_that_is_not_finite_is_named(value):
    cost = torch.zeros(4, 5)
    cost[2, 3] = cost[3, 0] = value
    with pytest.raises(RuntimeError, match=r"for cost but received .* at row 2, column 3"):
        _solve(cost)


@pytest.mark.parametrize("cost", [torch.zeros(3), torch.zeros(2, 2, 2), torch.zeros(2, 2).long()])
def test_misfits_are_named(cost):
    with pytest.raises(RuntimeError, match="for cost"):
        _solve(cost)
