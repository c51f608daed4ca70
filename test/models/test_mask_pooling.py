"""Mean of features under masks."""

import torch
from lexiseg_models.parts.mask_pooling import pool_masks


def test_averages_the_pixels_with_a_positive_logit():
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]]])
    logits = torch.tensor([[[[1.0, -1.0], [0.5, 0.0]], [[-1.0, -1.0], [-1.0, 9.0]]]])
    pooled = pool_masks(features, logits)
    # A logit of exactly zero is outside.
    assert torch.allclose(pooled, torch.tensor([[[2.0, 20.0], [4.0, 40.0]]]))


def test_an_empty_mask_pools_to_zero():
    pooled = pool_masks(torch.randn(1, 3, 4, 4), torch.full((1, 2, 4, 4), -1.0))
    assert pooled.abs().max() == 0


def test_memory_format_does_not_matter():
    features, logits = torch.randn(2, 5, 6, 7), torch.randn(2, 3, 6, 7)
    other = features.contiguous(memory_format=torch.channels_last)
    assert torch.allclose(pool_masks(features, logits), pool_masks(other, logits), atol=1e-6)


def test_no_gradient_flows_into_the_masks():
    features = torch.randn(1, 2, 3, 3, requires_grad=True)
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    pool_masks(features, logits).sum().backward()
    assert logits.grad is None
    assert features.grad is not None
