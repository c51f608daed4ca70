"""Hand-computed cases of the oracle's own parts, and the sizes of the published checkpoints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from oracle.config import CONFIGS
from oracle.deformable import reference_points, sample_levels
from oracle.drawing import draw_picture
from oracle.heads import PanopticThresholds, instances, panoptic_map, semantic_scores
from oracle.make_checkpoint import CLIP_PREFIX, build_model, split_state, write_checkpoint
from oracle.model import OracleModel, fuse, mask_logits_at_output
from oracle.pixel_decoder import sine_position
from oracle.predictor import ClassMatrix, cosine_class_logits
from oracle.preprocess import preprocess, resized_size
from oracle.vocabulary import TEMPLATES, Vocabulary

PUBLISHED = {
    "convnext_base_w": 20_442_817,
    "convnext_large_d": 20_721_601,
    "convnext_xxlarge": 21_524_929,
    "rn50": 21_033_409,
    "rn101": 20_901_313,
    "rn50x4": 21_180_097,
    "rn50x16": 21_458_881,
    "rn50x64": 22_016_449,
}
VOCABULARY = Vocabulary.parse(
    ["cat, kitten", "grass,lawn", "sofa", "wooden floor,floor", "car"],
    [True, False, True, False, True],
)
TRAINING = Vocabulary.parse(["cat", "floor,flooring"], [True, False])


@pytest.mark.parametrize("name", PUBLISHED)
def test_trainable_tensors_have_the_published_count(name: str) -> None:
    with torch.device("meta"):
        model = OracleModel(CONFIGS[name])
    trainable = [t for k, t in model.named_parameters() if not k.startswith(CLIP_PREFIX)]
    assert len(trainable) == 302
    assert sum(t.numel() for t in trainable) == PUBLISHED[name]


def test_fourteen_templates_five_plain_and_nine_sized() -> None:
    assert len(TEMPLATES) == len(set(TEMPLATES)) == 14
    assert sum(t.endswith(".") for t in TEMPLATES) == 10
    assert "There is a medium {} in the scene." in TEMPLATES


def test_seen_is_exact_equality_of_one_synonym() -> None:
    assert VOCABULARY.classes[0] == ["cat", "kitten"]
    assert VOCABULARY.seen(TRAINING).tolist() == [True, False, False, True, False]


def test_resized_size_follows_the_shortest_edge_and_its_cap() -> None:
    config = CONFIGS["convnext_large_d"]
    assert resized_size(480, 640, config) == (800, 1067)
    assert resized_size(640, 480, config) == (1067, 800)
    assert resized_size(300, 1200, config) == (333, 1333)


def test_padding_is_zero_after_normalisation() -> None:
    sizes = preprocess(draw_picture(100, 130), CONFIGS["tiny_convnext"])
    assert sizes.valid_size == (160, 208)
    assert sizes.network_size == (160, 224)
    assert float(sizes.image[..., 208:].abs().max()) == 0


def test_sine_position_of_a_single_cell() -> None:
    code = sine_position(torch.zeros(1, 8, 1, 1))[0, :, 0, 0]
    angle = 2 * math.pi / (1 + 1e-6)
    half = [math.sin(angle), math.cos(angle), math.sin(angle / 100), math.cos(angle / 100)]
    assert torch.allclose(code, torch.tensor(half + half), atol=1e-6)


def test_deformable_sampling_takes_the_pixel_at_its_centre_and_zero_outside() -> None:
    value = torch.arange(6.0).view(1, 6, 1, 1)
    points = reference_points([(2, 3)])
    inside = points.view(1, 6, 1, 1, 1, 2)
    sampled = sample_levels(value, [(2, 3)], inside).flatten()
    assert torch.allclose(sampled, torch.arange(6.0), atol=1e-6)
    halfway = torch.tensor([1 / 3, 0.25]).view(1, 1, 1, 1, 1, 2)
    assert float(sample_levels(value, [(2, 3)], halfway)) == pytest.approx(0.5)
    outside = torch.tensor([-1.0, 0.25]).view(1, 1, 1, 1, 1, 2)
    assert float(sample_levels(value, [(2, 3)], outside)) == 0


def test_class_logits_take_the_best_synonym_and_keep_void() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.6, 0.8]])
    classes = ClassMatrix(rows, [2, 1])
    logits = cosine_class_logits(torch.tensor([[[0.0, 2.0]]]), torch.tensor(10.0), classes)
    assert torch.allclose(logits, torch.tensor([[[100.0, 0.0, 80.0]]]), atol=1e-5)


def test_fusion_uses_alpha_for_seen_and_beta_for_unseen() -> None:
    in_logits = torch.tensor([[[1.0, 0.0, 0.5]]])
    out_logits = torch.tensor([[[0.0, 2.0]]])
    seen = torch.tensor([True, False])
    fused = fuse(in_logits, out_logits, seen, torch.ones(1, 1), (0.4, 0.8)).exp()[0, 0]
    p_in, p_out = in_logits[0, 0, :2].log_softmax(-1), out_logits[0, 0].log_softmax(-1)
    scores = torch.stack([0.6 * p_in[0] + 0.4 * p_out[0], 0.2 * p_in[1] + 0.8 * p_out[1]])
    void = in_logits[0, 0].softmax(-1)[2]
    expected = torch.cat([scores.softmax(-1) * (1 - void), void[None]])
    assert torch.allclose(fused, expected, atol=1e-6)


def test_an_empty_mask_keeps_the_in_vocabulary_classes_even_from_nan() -> None:
    in_logits = torch.tensor([[[1.0, 0.0, 0.5]]])
    nan = torch.full((1, 1, 2), float("nan"))
    fused = fuse(in_logits, nan, torch.tensor([True, False]), torch.zeros(1, 1), (0.4, 0.8))
    assert torch.allclose(fused.exp(), in_logits.softmax(-1), atol=1e-6)


def test_panoptic_merges_stuff_and_drops_overlapped_queries() -> None:
    masks = torch.full((4, 2, 4), -9.0)
    masks[0, :, :2] = 9
    masks[1, :, 2] = 9
    masks[2, :, 2:] = 2
    masks[3, 0, 3] = 9
    log_probs = torch.tensor(
        [[0.8, 0.1, 0.1], [0.9, 0.05, 0.05], [0.1, 0.5, 0.4], [0.7, 0.2, 0.1]]
    ).log()
    thing = torch.tensor([False, True])
    result, segments = panoptic_map(log_probs, masks, thing, PanopticThresholds())
    assert result.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert [(s.id, s.class_index, s.is_thing) for s in segments] == [(1, 0, False)]
    result, segments = panoptic_map(log_probs, masks, thing, PanopticThresholds(0, 0.2))
    assert result.tolist() == [[1, 1, 1, 1], [1, 1, 1, 2]]


def test_instances_filter_things_after_the_top_k() -> None:
    masks = torch.full((2, 2, 2), -1.0)
    masks[0, 0] = 3
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3]]).log()
    found = instances(probs, masks, torch.tensor([False, True]), 3, things_only=True)
    assert found.classes.tolist() == [1]
    assert found.query_index.tolist() == [0]
    assert float(found.scores) == pytest.approx(0.3 * float(torch.tensor(3.0).sigmoid()), 1e-5)


@pytest.mark.parametrize("name", ["tiny_convnext", "tiny_resnet"])
@torch.inference_mode()
def test_random_checkpoints_give_varied_masks_and_classes(name: str) -> None:
    model = build_model(CONFIGS[name])
    classes = model.class_matrix(VOCABULARY.prompts(), VOCABULARY.synonym_counts)
    sizes = preprocess(draw_picture(180, 240, 1), model.config)
    result = model(sizes.image, classes, VOCABULARY.seen(TRAINING))
    log_probs, masks = (
        result.class_log_probs[0],
        mask_logits_at_output(result.mask_logits[0], sizes),
    )
    positive = float((masks > 0).float().mean())
    assert 0.02 < positive < 0.7
    assert torch.isfinite(log_probs).all()
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(len(log_probs)), atol=1e-4)
    assert len(log_probs.argmax(-1).unique()) >= 3
    assert len(semantic_scores(log_probs, masks).argmax(0).unique()) >= 2


def test_written_checkpoints_load_by_name(tmp_path: Path) -> None:
    model = build_model(CONFIGS["tiny_convnext"])
    trainable, clip = split_state(model)
    nested, _ = write_checkpoint(model, tmp_path)
    stored = torch.load(nested, weights_only=True)["model"]
    assert stored.keys() - trainable.keys() == {"criterion.empty_weight"}
    state = stored | {CLIP_PREFIX + k: v for k, v in torch.load(tmp_path / "clip.bin").items()}
    state.pop("criterion.empty_weight")
    OracleModel(CONFIGS["tiny_convnext"]).load_state_dict(state, strict=True)
    assert "visual.trunk.stem.0.weight" in clip
