"""Points against SplitMix64 in Python's own integers, and refused arguments."""

from __future__ import annotations

import pytest
import torch

MASK = (1 << 64) - 1


def splitmix(seed: int) -> int:
    z = (seed + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**62, -(2**63)])
def test_values_are_the_upper_bits_of_splitmix64(seed):
    points = torch.ops.lexiseg.uniform_points(torch.tensor([5, seed]), 30)
    assert points.dtype == torch.float32 and points.shape == (2, 30, 2)
    bits = [splitmix((seed + i * 0x632BE5AB) & MASK) >> 40 for i in range(60)]
    assert points[1].flatten().tolist() == [value / (1 << 24) for value in bits]


def test_threads_change_nothing():
    seeds = torch.arange(70)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = torch.ops.lexiseg.uniform_points(seeds, 3_000)
    torch.set_num_threads(3)
    together = torch.ops.lexiseg.uniform_points(seeds, 3_000)
    torch.set_num_threads(before)
    assert torch.equal(alone, together)


def test_none_are_none():
    assert torch.ops.lexiseg.uniform_points(torch.arange(3), 0).shape == (3, 0, 2)
    none = torch.empty([0], dtype=torch.int64)
    assert torch.ops.lexiseg.uniform_points(none, 4).shape == (0, 4, 2)


@pytest.mark.parametrize(
    "seeds, count, what",
    [
        (torch.zeros(2), 3, "int64 .N. for seeds"),
        (torch.zeros(2, 2, dtype=torch.int64), 3, "int64 .N. for seeds"),
        (torch.arange(2), -1, "at least 0 for count"),
        (torch.arange(2), 1 << 40, "for count"),
    ],
)
def test_wrong_arguments_are_refused(seeds, count, what):
    with pytest.raises(RuntimeError, match=what):
        torch.ops.lexiseg.uniform_points(seeds, count)
