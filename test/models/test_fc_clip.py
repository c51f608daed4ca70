"""The whole method: stages, batches, vocabularies, bfloat16 and gradients."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import read_config
from lexiseg_models.export.bundle import cast_weights
from lexiseg_models.export.verify import relative_difference
from lexiseg_models.methods import fc_clip
from lexiseg_models.parts.prediction import Proposals


def vocabulary(classes=9, width=64):
    generator = torch.Generator().manual_seed(4)
    counts = torch.arange(classes) % 3 + 1
    rows = int(counts.sum())
    embeddings = F.normalize(torch.randn(rows, width, generator=generator), dim=1)
    return embeddings, counts, torch.arange(classes) % 2 == 0


def label_map(module, image):
    """Semantic classes on the grid of the masks, [h, w]."""
    proposals = module.propose_masks(image)
    probs = module.classify_masks(proposals, *vocabulary())[0].exp()
    scores = torch.einsum("qk,qhw->khw", probs[:, :-1], proposals[0][0].sigmoid())
    return scores.argmax(dim=0)


def test_shapes_and_dtypes_follow_the_contract(tiny, photograph):
    with torch.inference_mode():
        proposals = Proposals(*tiny.propose_masks(photograph))
        log_probs = tiny.classify_masks(proposals, *vocabulary())
    # 90 x 140 becomes 256 x 398, padded to 256 x 416.
    assert proposals.valid_size.tolist() == [256, 398]
    assert proposals.network_size.tolist() == [256, 416]
    assert proposals.mask_logits.shape == (1, 16, 64, 104)
    assert proposals.mask_valid.shape == (1, 16) and proposals.mask_valid.dtype == torch.bool
    for embeddings in proposals[1:3]:
        assert embeddings.shape == (1, 16, 64) and embeddings.dtype == torch.float32
        # A mask that is empty at stride 32 covers no feature, so its embedding is zero.
        norms = embeddings.norm(dim=2)
        assert torch.allclose(norms[proposals.mask_valid], torch.ones(1), atol=1e-5)
    assert proposals.mask_valid.any()
    assert log_probs.shape == (1, 16, 10) and log_probs.dtype == torch.float32
    assert torch.allclose(log_probs.exp().sum(dim=2), torch.ones(1, 16), atol=1e-5)


def test_fine_masks_pool_what_they_cover_of_each_cell(tiny, photograph):
    config = read_config("fc-clip", "tiny")
    fine = fc_clip.build(fc_clip.parse_config({**config, "pooling": {"masks": "fine"}}))
    fine.load_state_dict(tiny.state_dict())
    with torch.inference_mode():
        usual, other = (Proposals(*module.propose_masks(photograph)) for module in (tiny, fine))
        dense = tiny.stage_backbone(tiny.stage_preprocess(photograph))[3]
        inside = (usual.mask_logits > 0).float()
        cover = F.avg_pool2d(inside, 8).flatten(2)
        pooled = cover / cover.sum(2, keepdim=True).clamp_min(1e-9) @ dense.flatten(2).mT
        expected = F.normalize(tiny.region_head.embed(pooled), dim=2)
    for field in ("mask_logits", "in_vocabulary_embeddings"):
        assert torch.equal(getattr(usual, field), getattr(other, field))
    assert torch.equal(other.mask_valid, inside.flatten(2).any(2))
    assert other.mask_valid.sum() >= usual.mask_valid.sum()
    assert relative_difference(expected, other.out_of_vocabulary_embeddings) < 1e-4
    assert relative_difference(usual.out_of_vocabulary_embeddings, expected) > 1e-2


def test_the_stages_chained_are_propose_masks(tiny, photograph):
    with torch.inference_mode():
        result = photograph
        for stage in fc_clip.STAGES:
            result = getattr(tiny, stage)(result)
        for one, other in zip(result, tiny.propose_masks(photograph), strict=True):
            assert torch.equal(one, other)


def test_a_result_does_not_depend_on_its_batch_mates(tiny, photograph):
    other = photograph.flip(2).contiguous()
    with torch.inference_mode():
        both = tiny.propose_masks(torch.cat((photograph, other)))
        for i, image in enumerate((photograph, other)):
            alone = tiny.propose_masks(image)
            for field in range(4):
                assert (
                    relative_difference(alone[field].float(), both[field][i : i + 1].float()) < 1e-4
                )


def test_untrained_masks_and_classes_vary(tiny, photograph):
    with torch.inference_mode():
        masks = tiny.propose_masks(photograph)[0][0] > 0
        labels = label_map(tiny, photograph)
    share = masks.flatten(1).float().mean(dim=1)
    assert ((share > 0) & (share < 1)).float().mean() > 0.5
    assert share.mean() < 0.5
    assert len(labels.unique()) > 1


def test_permuting_the_classes_permutes_the_probabilities(tiny, photograph):
    embeddings, counts, seen = vocabulary()
    order = torch.randperm(len(counts), generator=torch.Generator().manual_seed(1))
    starts = counts.cumsum(0) - counts
    rows = torch.cat([torch.arange(starts[k], starts[k] + counts[k]) for k in order.tolist()])
    with torch.inference_mode():
        proposals = tiny.propose_masks(photograph)
        straight = tiny.classify_masks(proposals, embeddings, counts, seen)
        turned = tiny.classify_masks(proposals, embeddings[rows], counts[order], seen[order])
    assert torch.allclose(turned[..., :-1], straight[..., order], atol=1e-5)
    assert torch.allclose(turned[..., -1], straight[..., -1], atol=1e-5)


def test_a_repeated_synonym_changes_nothing(tiny, photograph):
    embeddings, counts, seen = vocabulary()
    repeated = torch.cat((embeddings[:1], embeddings))
    more = counts.clone()
    more[0] += 1
    with torch.inference_mode():
        proposals = tiny.propose_masks(photograph)
        once = tiny.classify_masks(proposals, embeddings, counts, seen)
        twice = tiny.classify_masks(proposals, repeated, more, seen)
    assert torch.allclose(once, twice, atol=1e-6)


def test_one_class_leaves_all_that_is_not_void_to_it(tiny, photograph):
    embeddings, _, _ = vocabulary(1)
    with torch.inference_mode():
        proposals = tiny.propose_masks(photograph)
        one = torch.ones(1, dtype=torch.int64)
        probs = tiny.classify_masks(proposals, embeddings, one, one == 1).exp()
    assert torch.allclose(probs[..., 0], 1 - probs[..., 1], atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 2), (33, 33)])
def test_any_size_of_image_gives_finite_results(tiny, size):
    image = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        proposals = tiny.propose_masks(image)
        log_probs = tiny.classify_masks(proposals, *vocabulary())
    for tensor in (*proposals, log_probs):
        assert torch.isfinite(tensor.float()).all()


def tiny_resnet():
    raw = read_config("fc-clip", "tiny")
    raw["clip"]["text_encoder"]["vocabulary_size"] = 64
    raw["clip"]["image_tower"] = {
        "kind": "clip-resnet",
        "blocks": [1, 1, 2, 1],
        "width": 8,
        "heads": 4,
        "position_grid": 3,
    }
    raw["ensemble"]["on_valid_mask_only"] = True
    torch.manual_seed(3)
    return fc_clip.build(fc_clip.parse_config(raw))


def test_empty_masks_of_a_resnet_keep_the_in_vocabulary_scores(photograph):
    module = tiny_resnet()
    with torch.inference_mode():
        proposals = list(module.propose_masks(photograph))
        proposals[3] = torch.zeros_like(proposals[3])
        embeddings, counts, seen = vocabulary()
        actual = module.classify_masks(tuple(proposals), embeddings, counts, seen)
        # With no valid mask the other head has no say, whatever it holds.
        proposals[2] = F.normalize(torch.randn_like(proposals[2]), dim=2)
        other = module.classify_masks(tuple(proposals), embeddings, counts, seen)
    assert torch.equal(actual, other)


@pytest.mark.parametrize("kept", [True, False])
def test_bfloat16_agrees_with_float32(tiny, photograph, kept):
    with torch.inference_mode():
        expected = label_map(tiny, photograph)
        config = fc_clip.parse_config(read_config("fc-clip", "tiny"))
        cast_weights(tiny, torch.bfloat16, fc_clip.keep_float32(config) if kept else ())
        actual = label_map(tiny, photograph)
    agreement = (actual == expected).float().mean().item()
    # A runtime that casts everything still runs; keepFloat32 is what the figure is promised for.
    assert agreement >= (0.98 if kept else 0.9)


def test_gradients_reach_every_trained_parameter_through_the_operators(tiny, photograph):
    proposals = tiny.propose_masks(photograph)
    log_probs = tiny.classify_masks(proposals, *vocabulary())
    (-log_probs[..., 0].mean() + proposals[0].square().mean()).backward()
    for name, parameter in tiny.named_parameters():
        if name.startswith("text_encoder"):
            continue
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
