"""Cosine classifier: synonym maximum, scale, void and region embeddings."""

import math

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.parts.classifier import (
    CosineClassifier,
    RegionEmbedder,
    VoidEmbedding,
    synonym_maximum,
)


def test_takes_the_largest_logit_of_each_class():
    logits = torch.tensor([[[1.0, 5.0, -2.0, -7.0, -3.0, 0.0]]])
    actual = synonym_maximum(logits, torch.tensor([2, 3, 1]))
    assert actual.tolist() == [[[5.0, -2.0, 0.0]]]


def test_permuting_the_classes_permutes_the_result():
    logits = torch.randn(2, 3, 6)
    straight = synonym_maximum(logits, torch.tensor([2, 3, 1]))
    order = [5, 2, 3, 4, 0, 1]
    turned = synonym_maximum(logits[..., order], torch.tensor([1, 3, 2]))
    assert torch.equal(turned, straight[..., [2, 1, 0]])


def test_a_repeated_synonym_changes_nothing():
    logits = torch.randn(2, 3, 3)
    once = synonym_maximum(logits, torch.tensor([1, 2]))
    twice = synonym_maximum(logits[..., [0, 0, 1, 2, 1]], torch.tensor([2, 3]))
    assert torch.equal(once, twice)


@pytest.mark.parametrize("counts", [[2, 2], [1, 1], []])
def test_refuses_counts_that_do_not_sum_to_the_embeddings(counts):
    with pytest.raises(ValueError, match="synonym_counts"):
        synonym_maximum(torch.randn(1, 2, 3), torch.tensor(counts, dtype=torch.int64))


def test_gradients_reach_only_the_winning_synonym():
    logits = torch.tensor([1.0, 3.0, 2.0], requires_grad=True)
    synonym_maximum(logits, torch.tensor([2, 1])).sum().backward()
    assert logits.grad.tolist() == [0.0, 1.0, 1.0]


def test_the_scale_starts_as_asked_and_is_capped_at_100():
    one = F.normalize(torch.randn(1, 1, 8), dim=2)
    classifier = CosineClassifier(scale=1 / 0.07)
    assert classifier(one, one[0]).item() == pytest.approx(1 / 0.07, rel=1e-5)
    assert classifier.logit_scale.item() == pytest.approx(2.6593, abs=1e-4)
    with torch.no_grad():
        classifier.logit_scale.fill_(math.log(250.0))
    assert classifier(one, one[0]).item() == pytest.approx(100.0, rel=1e-5)


def test_void_has_unit_norm():
    void = VoidEmbedding(embedding_dim=16)
    assert void().shape == (1, 16)
    assert void().norm().item() == pytest.approx(1.0, abs=1e-6)


def test_region_embeddings_follow_the_definition_step_by_step():
    torch.manual_seed(0)
    embedder = RegionEmbedder(width=8, embedding_dim=5)
    normed, features = torch.randn(1, 3, 8), torch.randn(1, 8, 4, 4)
    logits = torch.randn(1, 3, 4, 4)
    embeddings = embedder(normed, features, logits)
    for query in range(3):
        inside = logits[0, query] > 0
        pooled = features[0][:, inside].mean(dim=1)
        x = embedder.pooled(embedder.norm(pooled)) + normed[0, query]
        first, second, third = embedder.embedding.layers
        x = third(second(first(x).clamp(min=0)).clamp(min=0))
        assert torch.allclose(embeddings[0, query], x / x.norm(), atol=1e-5)
