"""Patch-aligned contrastive learning: the compatibility function and its loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.objectives.patch_alignment import PatchAlignment, compatibility
from lexiseg_models.parts.patch_embedder import PatchEmbedder

B, T, D, N = 4, 9, 16, 5


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    patches = torch.randn(B, T, D) * torch.rand(B, T, 1) * 3
    return patches, F.normalize(torch.randn(N, D), dim=1)


def direct(patches, text, sharpness):
    """Pools every image for every text, as the paper writes it."""
    out = torch.zeros(len(patches), len(text))
    for i, image in enumerate(patches):
        for j, word in enumerate(text):
            weights = (sharpness * F.cosine_similarity(image, word[None], dim=1)).softmax(0)
            pooled = (weights[:, None] * image).sum(0)
            out[i, j] = F.cosine_similarity(pooled, word, dim=0)
    return out


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 10.0, 100.0])
def test_equals_pooling_every_image_for_every_text(inputs, sharpness):
    assert torch.allclose(compatibility(*inputs, sharpness), direct(*inputs, sharpness), atol=1e-5)


def test_does_not_depend_on_the_order_of_patches(inputs):
    patches, text = inputs
    shuffled = patches[:, torch.randperm(T)]
    assert torch.allclose(compatibility(patches, text, 5.0), compatibility(shuffled, text, 5.0))


def test_equal_patches_give_their_cosine(inputs):
    patches, text = inputs
    even = patches[:, :1].expand(B, T, D)
    expected = F.normalize(patches[:, 0], dim=1) @ text.t()
    for sharpness in (0.0, 1.0, 50.0):
        assert torch.allclose(compatibility(even, text, sharpness), expected, atol=1e-5)


def test_the_extremes_are_the_mean_and_the_best_patch(inputs):
    patches, text = inputs
    mean = F.normalize(patches.mean(1), dim=1) @ text.t()
    assert torch.allclose(compatibility(patches, text, 0.0), mean, atol=1e-5)
    best = torch.einsum("btd,nd->bnt", F.normalize(patches, dim=2), text).amax(2)
    assert torch.allclose(compatibility(patches, text, 1e5), best, atol=1e-4)


def test_each_text_pools_by_itself(inputs):
    patches, text = inputs
    turned = text.clone()
    turned[1] = F.normalize(torch.randn(D), dim=0)
    one, other = (compatibility(patches, words, 10.0) for words in (text, turned))
    assert torch.allclose(one[:, [0, 2, 3, 4]], other[:, [0, 2, 3, 4]])
    weights = (10.0 * (F.normalize(patches[0], dim=1) @ text[0])).softmax(0)
    pooled_by_another = F.normalize((weights[:, None] * patches[0]).sum(0), dim=0) @ turned[1]
    assert not torch.allclose(other[0, 1], pooled_by_another, atol=1e-3)


def test_the_loss_is_symmetric_cross_entropy(inputs):
    patches, text = inputs
    objective = PatchAlignment(10.0)
    losses = objective(patches, text[:B], torch.tensor(20.0))
    logits = 20.0 * direct(patches, text[:B], 10.0)
    target = torch.arange(B)
    assert losses["image_to_text"] == pytest.approx(
        0.5 * float(F.cross_entropy(logits, target)), abs=1e-4
    )
    assert losses["text_to_image"] == pytest.approx(
        0.5 * float(F.cross_entropy(logits.t(), target)), abs=1e-4
    )


def test_a_text_that_two_images_share_is_wrong_for_neither(inputs):
    patches, text = inputs
    shared = torch.cat((text[:1], text[1 : B - 1], text[:1]))
    losses = PatchAlignment(10.0)(patches, shared, torch.tensor(20.0))
    logits = 20.0 * direct(patches, shared, 10.0)
    logits[0, B - 1] = logits[B - 1, 0] = -math.inf
    target = torch.arange(B)
    assert losses["image_to_text"] == pytest.approx(
        0.5 * float(F.cross_entropy(logits, target)), abs=1e-4
    )
    assert losses["text_to_image"] == pytest.approx(
        0.5 * float(F.cross_entropy(logits.t(), target)), abs=1e-4
    )


def test_gradients_reach_the_embedder_and_training_separates_pairs():
    torch.manual_seed(1)
    embedder = PatchEmbedder(in_width=24, out_width=D)
    tokens, text = torch.randn(6, T, 24), F.normalize(torch.randn(6, D), dim=1)
    objective = torch.jit.script(PatchAlignment(10.0))
    optimizer = torch.optim.Adam(embedder.parameters(), lr=1e-2)
    totals = []
    for _ in range(60):
        losses = objective(embedder(tokens), text, torch.tensor(14.0))
        total = losses["image_to_text"] + losses["text_to_image"]
        optimizer.zero_grad()
        total.backward()
        assert all(torch.isfinite(p.grad).all() for p in embedder.parameters())
        optimizer.step()
        totals.append(float(total))
    assert totals[-1] < 0.3 * totals[0]


def test_the_embedder_has_the_parameters_of_the_paper():
    count = sum(p.numel() for p in PatchEmbedder(in_width=768, out_width=512).parameters())
    assert count == 1_050_112


def test_a_patch_of_zeros_is_no_number_to_fear():
    rows = compatibility(torch.zeros(1, T, D), F.normalize(torch.randn(2, D), dim=1), 10.0)
    assert torch.isfinite(rows).all()


def test_refuses_a_negative_sharpness():
    with pytest.raises(ValueError, match="sharpness"):
        PatchAlignment(-1.0)
