"""Mean of features under masks."""

import pytest
import torch
from lexiseg_models.parts.mask_pooling import pool_masks


def test_averages_the_pixels_with_a_positive_logit():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]]])
    logits = torch.tensor([[[[1.0, -1.0], [0.5, 0.0]], [[-1.0, -1.0], [-1.0, 9.0]]]])
    pooled = pool_masks(features, logits)
    # A logit of exactly zero is outside.
    assert torch.allclose(pooled, torch.tensor([[[2.0, 20.0], [4.0, 40.0]]]))


def test_on_a_finer_grid_features_weigh_by_the_share_of_their_cells():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 5, 3, 4, generator=generator)
    logits = torch.randn(2, 6, 12, 16, generator=generator)
    logits[1, 2] = -1.0
    pooled = pool_masks(features, logits)
    for image in range(2):
        for query in range(6):
            total, weight = torch.zeros(5), 0
            for y in range(12):
                for x in range(16):
                    if logits[image, query, y, x] > 0:
                        total += features[image, :, y // 4, x // 4]
                        weight += 1
            expected = total / weight if weight else total
            assert torch.allclose(pooled[image, query], expected, atol=1e-5)
    assert pooled[1, 2].abs().max() == 0


def test_masks_repeated_on_a_finer_grid_pool_alike():
    features, logits = torch.randn(1, 5, 3, 4), torch.randn(1, 6, 3, 4)
    finer = logits.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert torch.allclose(pool_masks(features, logits), pool_masks(features, finer), atol=1e-6)


def test_an_empty_mask_pools_to_zero():
    pooled = pool_masks(torch.randn(1, 3, 4, 4), torch.full((1, 2, 4, 4), -1.0))
    assert pooled.abs().max() == 0


def test_memory_format_does_not_matter():
    features, logits = torch.randn(2, 5, 6, 7), torch.randn(2, 3, 6, 7)
    other = features.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(pool_masks(features, logits), pool_masks(other, logits), atol=1e-6)


@pytest.mark.parametrize("side", [3, 6])
def test_no_gradient_flows_into_the_masks(side):
    features = torch.randn(1, 2, 3, 3, requires_grad=True)
    logits = torch.randn(1, 2, side, side, requires_grad=True)
    pool_masks(features, logits).sum().backward()
    assert logits.grad is None
    assert features.grad is not None
