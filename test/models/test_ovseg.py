"""OVSeg's parts: what proposals become, how two classifiers meet, and both training losses."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import ConfigError, config_names, read_config
from lexiseg_models.convert.matching import published_shapes
from lexiseg_models.convert.ovseg import CLIP_RULES, proposal_rules
from lexiseg_models.methods import ovseg, ovseg_training
from lexiseg_models.objectives.full_mask_classification import (
    FullMaskClassification,
    FullMaskConfig,
    focal_costs,
)
from lexiseg_models.objectives.mask_classification import Segments
from lexiseg_models.parts.ensemble import EnsembleConfig
from lexiseg_models.parts.proposal_ensemble import ProposalEnsemble
from lexiseg_models.parts.region_crops import RegionConfig, RegionCrops
from lexiseg_models.parts.swin import Swin, SwinConfig

MEAN, STD = (120.0, 110.0, 100.0), (60.0, 61.0, 62.0)


def on_meta(name: str) -> ovseg.Ovseg:
    with torch.device("meta"):
        return ovseg.build(ovseg.parse_config(read_config("ovseg", name)))


@pytest.mark.parametrize(
    "name, backbone, decoder, predictor, clip",
    [
        ("swin_b_vit_l_14", 86_880_376, 4_951_808, 11_008_768, 428_402_944),
        ("r101c_vit_b_16", 42_729_770, 7_540_480, 11_008_512, 150_072_320),
    ],
)
def test_published_checkpoints_have_a_place_for_every_tensor(
    name, backbone, decoder, predictor, clip
):
    module = on_meta(name)
    own = published_shapes(module, proposal_rules(module))
    towers = published_shapes(module, CLIP_RULES)
    ours = [entry[0] for entry in (*own.values(), *towers.values())]
    assert sorted(ours) == sorted(module.state_dict())

    def total(table, prefix=""):
        return sum(s.numel() for key, (_, s) in table.items() if key.startswith(prefix))

    assert total(own, "backbone.") == backbone
    assert total(own, "sem_seg_head.pixel_decoder.") == decoder
    assert total(own, "sem_seg_head.predictor.") == predictor
    # With the mask prompts; the logit scale is a constant here and has no place.
    assert total(towers) == clip


def test_known_keys_have_known_shapes():
    module = on_meta("swin_b_vit_l_14")
    table = published_shapes(module, proposal_rules(module) + CLIP_RULES)
    known = {
        "backbone.layers.2.blocks.17.attn.relative_position_bias_table": [529, 16],
        "backbone.layers.1.downsample.reduction.weight": [512, 1024],
        "backbone.norm3.bias": [1024],
        "sem_seg_head.pixel_decoder.layer_4.weight": [256, 1024, 3, 3],
        "sem_seg_head.pixel_decoder.adapter_1.weight": [256, 128, 1, 1],
        "sem_seg_head.predictor.transformer.decoder.layers.5.multihead_attn.in_proj_weight": [
            768,
            256,
        ],
        "sem_seg_head.predictor.class_embed.layers.1.weight": [768, 1024],
        "clip_adapter.non_object_embedding": [1, 768],
        "visual.mask_embedding": [3, 256, 1024],
    }
    assert {key: list(table[key][1]) for key in known} == known


@pytest.mark.parametrize("name", config_names("ovseg"))
def test_every_config_is_sound(name):
    raw = read_config("ovseg", name)
    with torch.device("meta"):
        module = ovseg_training.build_trainable(raw)
    assert ovseg_training.groups(module)
    kind = "image-text" if name.endswith("regions") else "panoptic"
    assert ovseg_training.batch_kind(raw) == kind


def test_unsound_configs_are_refused():
    for section, change, what in (
        ("regions", {"threshold": 1.0}, "between 0 and 1"),
        ("backbone", {"kind": "vgg"}, "swin or resnet"),
        ("pixel_decoder", {"width": 48}, "differ"),
    ):
        raw = copy.deepcopy(read_config("ovseg", "tiny"))
        raw[section] = {**raw[section], **change}
        with pytest.raises(ConfigError, match=what):
            ovseg.parse_config(raw)
    raw = {**read_config("ovseg", "tiny"), "objective": {"kind": "magic"}}
    with pytest.raises(ConfigError, match="proposals or regions"):
        ovseg_training.build_trainable(raw)


@pytest.mark.parametrize("size", [(64, 64), (36, 100), (4, 4)])
def test_swin_gives_a_pyramid_for_any_size(size):
    torch.manual_seed(0)
    tower = Swin(SwinConfig(4, 8, (1, 2, 1, 1), (1, 2, 2, 2), 3, 0.0)).eval()
    with torch.no_grad():
        maps = tower(torch.randn(2, 3, *size))
    sides = [(-(-size[0] // s), -(-size[1] // s)) for s in (4, 8, 16, 32)]
    assert [tuple(m.shape[2:]) for m in maps] == sides
    assert [m.shape[1] for m in maps] == [8, 16, 32, 64]


def test_swin_sees_each_image_of_a_batch_alone():
    torch.manual_seed(0)
    tower = Swin(SwinConfig(4, 8, (2, 2, 1, 1), (1, 2, 2, 2), 3, 0.0)).eval()
    images = torch.randn(3, 3, 44, 52)
    with torch.no_grad():
        together, alone = tower(images), tower(images[1:2])
    for a, b in zip(together, alone):
        torch.testing.assert_close(a[1:2], b, rtol=1e-4, atol=1e-5)


@pytest.fixture
def crops() -> RegionCrops:
    return RegionCrops(RegionConfig(0.4, True, 3, 8, MEAN, STD), patch=4, grid=3)


def test_a_region_is_its_box_with_the_rest_blank(crops):
    image = torch.randint(0, 256, (20, 30, 3), dtype=torch.uint8)
    pixels = crops.normalise(image)
    inside = torch.zeros(20, 30, dtype=torch.bool)
    # A box of the crop's own size is not resampled.
    inside[5:17, 8:20] = True
    inside[6, 9] = False
    crop = crops.crop(pixels, inside)
    assert crop.shape == (4, 12, 12)
    mask = inside[5:17, 8:20].float()
    assert torch.equal(crop[3], mask)
    torch.testing.assert_close(crop[:3], pixels[:, 5:17, 8:20] * mask, atol=1e-5, rtol=1e-5)
    value = (float(image[5, 8, 1]) - MEAN[1]) / STD[1]
    assert float(crop[1, 0, 0]) == pytest.approx(value, abs=1e-5)


def test_a_patch_is_seen_if_any_of_it_is(crops):
    masks = torch.zeros(2, 1, 12, 12)
    masks[0, 0, 3, 4] = 1.0
    seen = crops.seen_patches(masks)
    assert seen.shape == (2, 9, 1)
    assert seen[0, :, 0].tolist() == [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert float(seen[1].sum()) == 0.0


def test_the_threshold_is_one_of_probabilities(crops):
    probability = torch.tensor([[0.1, 0.399], [0.401, 0.9]])
    inside = crops.inside(torch.logit(probability), [2, 2], 2, 2)
    assert inside.tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("weight", [0.0, 0.45, 0.7, 1.0])
def test_the_ensemble_is_the_published_product(weight):
    torch.manual_seed(1)
    ensemble = ProposalEnsemble(EnsembleConfig(weight, weight, True))
    known, other = 3.0 * torch.randn(2, 5, 8), 3.0 * torch.randn(2, 5, 7)
    valid = torch.tensor([[True, True, False, True, True], [True] * 5])
    seen = torch.rand(7) > 0.5
    probability = ensemble(known, other, seen, valid).exp()
    first, second = known.softmax(2)[..., :-1], other.softmax(2)
    expected = first ** (1 - weight) * torch.where(valid[..., None], second**weight, 1.0)
    if weight == 1.0:
        expected = torch.where(valid[..., None], expected, 0.0)
    for b in range(2):
        scale = max(1.0, float(expected[b].sum(1).max()))
        torch.testing.assert_close(
            probability[b, :, :-1] * scale, expected[b], rtol=1e-4, atol=1e-6
        )
    torch.testing.assert_close(probability.sum(2), torch.ones(2, 5), rtol=1e-4, atol=1e-5)


def test_both_weights_of_the_ensemble_are_used():
    ensemble = ProposalEnsemble(EnsembleConfig(0.0, 1.0, True))
    known, other = torch.randn(1, 3, 5), torch.randn(1, 3, 4)
    seen, valid = torch.tensor([True, False, True, False]), torch.ones(1, 3, dtype=torch.bool)
    probability = ensemble(known, other, seen, valid).exp()
    first, second = known.softmax(2)[..., :-1], other.softmax(2)
    expected = torch.where(seen, first, second)
    scale = max(1.0, float(expected.sum(2).max()))
    torch.testing.assert_close(probability[..., :-1] * scale, expected, rtol=1e-4, atol=1e-6)


def full_loss() -> FullMaskClassification:
    return FullMaskClassification(FullMaskConfig(1.0, 20.0, 1.0, 0.1))


def focal(logit: float, target: float) -> float:
    p = 1.0 / (1.0 + torch.tensor(-logit).exp().item())
    if target > 0.5:
        return -0.25 * (1.0 - p) ** 2 * torch.tensor(p).log().item()
    return -0.75 * p**2 * torch.tensor(1.0 - p).log().item()


def test_focal_costs_equal_a_loop():
    torch.manual_seed(2)
    predicted, true = 2.0 * torch.randn(3, 11), (torch.rand(2, 11) > 0.5).float()
    costs = focal_costs(predicted, true)
    for q, t in itertools.product(range(3), range(2)):
        mean = sum(focal(float(x), float(y)) for x, y in zip(predicted[q], true[t])) / 11
        assert float(costs[q, t]) == pytest.approx(mean, rel=1e-4)


def test_full_mask_losses_equal_loops_at_the_size_of_the_truth():
    torch.manual_seed(3)
    predicted, true = torch.randn(2, 4, 6), (torch.rand(2, 8, 12) > 0.4).float()
    entropy, dice = full_loss().mask_losses(
        predicted, true, torch.zeros(2, dtype=torch.int64), torch.tensor(2.0)
    )
    large = F.interpolate(predicted[None], size=(8, 12), mode="bilinear", align_corners=False)[0]
    by_hand, dice_by_hand = 0.0, 0.0
    for n in range(2):
        pairs = list(zip(large[n].flatten().tolist(), true[n].flatten().tolist()))
        by_hand += sum(focal(x, y) for x, y in pairs) / len(pairs) / 2
        p = large[n].sigmoid()
        ratio = (2 * float((p * true[n]).sum()) + 1) / (float(p.sum() + true[n].sum()) + 1)
        dice_by_hand += (1 - ratio) / 2
    assert float(entropy) == pytest.approx(by_hand, rel=1e-4)
    assert float(dice) == pytest.approx(dice_by_hand, rel=1e-4)


def test_matching_finds_the_masks_that_are_there():
    masks = torch.zeros(2, 16, 16)
    masks[0, :8], masks[1, 8:] = 1.0, 1.0
    logits = torch.full((1, 4, 4, 4), -6.0)
    logits[0, 3, :2], logits[0, 1, 2:] = 6.0, 6.0
    segments = Segments(masks, torch.tensor([1, 0]), [2], torch.tensor([9]))
    query, segment = full_loss().match(torch.zeros(1, 4, 3), logits, segments, 0)
    assert query.tolist() == [3, 1] and segment.tolist() == [0, 1]


@pytest.fixture(scope="module")
def regions() -> ovseg_training.TrainableRegions:
    torch.manual_seed(4)
    return ovseg_training.build_trainable(read_config("ovseg", "tiny_prompts_regions"))


def test_blank_pixels_of_training_crops_are_told_by_their_colour(regions):
    side = regions.crop_side
    batch = {
        "images": torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8),
        "token_ids": torch.randint(1, 400, (3, 6)),
    }
    batch["images"][:, : side // 2] = torch.tensor([124, 116, 103], dtype=torch.uint8)
    with torch.no_grad():
        before = regions.losses(batch)["image_to_text"]
        # A blank patch shows its prompt, not its pixels.
        regions.mask_prompts.tokens.mul_(3.0)
        after = regions.losses(batch)["image_to_text"]
        regions.mask_prompts.tokens.div_(3.0)
        whole = {**batch, "images": batch["images"].clamp(max=120)}
        plain = regions.losses(whole)["image_to_text"]
        regions.mask_prompts.tokens.mul_(3.0)
        assert torch.equal(plain, regions.losses(whole)["image_to_text"])
        regions.mask_prompts.tokens.div_(3.0)
    assert not torch.equal(before, after)


def test_masked_crops_are_embedded_as_the_regions_of_proposals_are(regions):
    torch.manual_seed(5)
    image = torch.randint(0, 120, (40, 56, 3), dtype=torch.uint8)
    inside = torch.zeros(40, 56, dtype=torch.bool)
    inside[6:31, 9:50] = torch.rand(25, 41) > 0.3
    inside[6, 9], inside[30, 49] = True, True
    with torch.no_grad():
        crop = regions.region_crops.crop(regions.region_crops.normalise(image), inside)
        expected = regions.embed_crops([crop])
        masked = torch.where(
            inside.unsqueeze(2), image, torch.tensor([124, 116, 103], dtype=torch.uint8)
        )
        found = regions.encode_image(masked[6:31, 9:50].unsqueeze(0))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_groups_let_prompts_learn_alone(regions):
    groups = {group["name"]: group for group in ovseg_training.groups(regions)}
    assert not groups["image_tower"]["frozen"] and not groups["mask_prompts"]["frozen"]
    assert groups["text_encoder"]["frozen"] and "backbone" not in groups
    module = ovseg_training.build_trainable(read_config("ovseg", "tiny"))
    frozen = {group["name"]: group["frozen"] for group in ovseg_training.groups(module)}
    assert frozen["image_tower"] and frozen["text_encoder"] and not frozen["backbone"]


@pytest.mark.parametrize(
    "name", [n for n in config_names("ovseg") if n.endswith(("_regions", "_no_prompts"))]
)
def test_configs_are_named_for_the_mask_prompts_they_have(name):
    with torch.device("meta"):
        module = ovseg_training.build_trainable(read_config("ovseg", name))
    groups = {group["name"] for group in ovseg_training.groups(module)}
    named = name.endswith("_prompts_regions")
    assert ("mask_prompts" in groups) == named
    assert ("mask_prompts.tokens" in module.state_dict()) == named


def test_regions_are_adapted_without_what_proposes_them():
    raw = read_config("ovseg", "tiny_regions")
    assert "propose_masks" not in ovseg.methods(ovseg.parse_config(raw))
    assert "propose_masks" in ovseg.methods(ovseg.parse_config(read_config("ovseg", "tiny")))
    proposals = {**read_config("ovseg", "tiny")["objective"]}
    for objective, config in ((proposals, "tiny_regions"), ({"kind": "regions"}, "tiny")):
        with pytest.raises(ConfigError, match="objective.kind is regions, and only there"):
            wrong = {**read_config("ovseg", config), "objective": objective}
            ovseg_training.build_trainable(wrong)
    with pytest.raises(ConfigError, match="pixel_decoder"):
        ovseg.parse_config({**read_config("ovseg", "tiny"), "pixel_decoder": None})


def test_masks_of_another_network_are_cut_from_the_same_places():
    torch.manual_seed(6)
    module = ovseg.build(ovseg.parse_config(read_config("ovseg", "tiny")))
    image = torch.randint(0, 256, (2, 50, 90, 3), dtype=torch.uint8)
    with torch.no_grad():
        own = module.propose_masks(image)
        same = module.embed_masks(image, own[0], own[4], own[5])
        # A network that saw the image at twice the size has masks over the same share of it.
        twice = module.embed_masks(image, own[0], 2 * own[4], 2 * own[5])
    for found in (same, twice):
        assert torch.equal(found[2], own[2])
        assert torch.equal(found[3], own[3])
        assert not found[1].any()
    with pytest.raises(ValueError, match="padding"):
        module.embed_masks(image, own[0], torch.tensor([4096, 4096]), torch.tensor([1, 1]))
