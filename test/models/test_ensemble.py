"""Geometric ensemble: against the published product of powers, and at its edges."""

import pytest
import torch
from lexiseg_models.parts.ensemble import EnsembleConfig, GeometricEnsemble


def product_of_powers(in_logits, out_logits, seen, alpha, beta):
    """The published arithmetic, in float64."""
    in_logits, out_logits = in_logits.double(), out_logits.double()
    known = in_logits[..., :-1].softmax(-1)
    dense = out_logits.softmax(-1)
    seen_score = (known ** (1 - alpha) * dense**alpha).log() * seen
    unseen_score = (known ** (1 - beta) * dense**beta).log() * (~seen)
    probs = (seen_score + unseen_score).softmax(-1)
    void = in_logits.softmax(-1)[..., -1:]
    return torch.log(torch.cat((probs * (1 - void), void), dim=-1) + 1e-8)


def ensemble(alpha=0.4, beta=0.8, on_valid_mask_only=False):
    return GeometricEnsemble(EnsembleConfig(alpha, beta, on_valid_mask_only))


@pytest.fixture
def logits():
    torch.manual_seed(1)
    return 4 * torch.randn(2, 3, 6), 6 * torch.randn(2, 3, 5)


SEEN = torch.tensor([True, False, True, False, False])
VALID = torch.ones(2, 3, dtype=torch.bool)


def test_equals_the_product_of_powers(logits):
    actual = ensemble()(*logits, SEEN, VALID)
    assert torch.allclose(actual.double(), product_of_powers(*logits, SEEN, 0.4, 0.8), atol=1e-5)


def test_alpha_weighs_seen_classes_and_beta_unseen_ones(logits):
    actual = ensemble(alpha=0.1, beta=0.9)(*logits, torch.ones(5, dtype=torch.bool), VALID)
    expected = product_of_powers(*logits, torch.ones(5, dtype=torch.bool), 0.1, 0.9)
    assert torch.allclose(actual.double(), expected, atol=1e-5)


def test_weights_of_zero_leave_the_in_vocabulary_head(logits):
    actual = ensemble(alpha=0.0, beta=0.0)(*logits, SEEN, VALID)
    assert torch.allclose(actual.exp(), logits[0].softmax(-1), atol=1e-5)


def test_probabilities_sum_to_one(logits):
    assert torch.allclose(
        ensemble()(*logits, SEEN, VALID).exp().sum(-1), torch.ones(2, 3), atol=1e-5
    )


def test_stays_finite_when_probabilities_underflow():
    in_logits = torch.tensor([[[500.0, -500.0, 0.0, -900.0]]])
    out_logits = torch.tensor([[[-500.0, 500.0, -2000.0]]])
    actual = ensemble()(in_logits, out_logits, torch.tensor([True, False, True]), VALID[:1, :1])
    assert torch.isfinite(actual).all()
    # 0.4 * -1000 for the seen first class against 0.2 * -1000 for the unseen second one.
    assert actual[0, 0].argmax() == 1


def test_empty_masks_use_the_in_vocabulary_head_in_the_valid_mask_variant(logits):
    valid = VALID.clone()
    valid[0, 1] = False
    actual = ensemble(on_valid_mask_only=True)(*logits, SEEN, valid)
    assert torch.allclose(actual[0, 1].exp(), logits[0][0, 1].softmax(-1), atol=1e-5)
    others = ensemble()(*logits, SEEN, VALID)
    assert torch.allclose(actual[valid], others[valid], atol=1e-6)
    assert not torch.allclose(actual[0, 1], others[0, 1], atol=1e-3)


def test_permuting_the_classes_permutes_the_result(logits):
    order = torch.tensor([3, 0, 4, 1, 2])
    with_void = torch.cat((order, torch.tensor([5])))
    straight = ensemble()(*logits, SEEN, VALID)
    turned = ensemble()(logits[0][..., with_void], logits[1][..., order], SEEN[order], VALID)
    assert torch.allclose(turned, straight[..., with_void], atol=1e-6)
