"""Names, shapes and totals of published checkpoints, for every shipped config."""

import pytest
import torch
from lexiseg_models.configuration import config_names, read_config
from lexiseg_models.convert.fc_clip import TRAINED_RULES, clip_rules
from lexiseg_models.convert.matching import published_shapes
from lexiseg_models.methods import fc_clip

# Trained tensors are 302 everywhere; parameters differ with the backbone.
TRAINED = {
    "convnext_base_w": 20_442_817,
    "convnext_base_w_320": 20_442_817,
    "convnext_large_d_320": 20_721_601,
    "convnext_xxlarge": 21_524_929,
    "rn50": 21_033_409,
    "rn101": 20_901_313,
    "rn50x4": 21_180_097,
    "rn50x16": 21_458_881,
    "rn50x64": 22_016_449,
}
# Image tower and text tower.
CLIP = {
    "convnext_base_w": (88_221_824, 91_163_520),
    "convnext_large_d_320": (199_770_816, 152_001_792),
    "convnext_xxlarge": (846_543_744, 354_032_640),
}
OURS = {"tiny", "demo"}  # trained or drawn here, not published
SHIPPED = [name for name in config_names("fc-clip") if name not in OURS]


def on_meta(name):
    with torch.device("meta"):
        return fc_clip.build(fc_clip.parse_config(read_config("fc-clip", name)))


def total(table):
    return sum(shape.numel() for _, shape in table.values())


def test_every_backbone_has_a_config():
    assert len(SHIPPED) == 10
    assert set(TRAINED) < set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_tensor_has_exactly_one_published_name(name):
    module = on_meta(name)
    trained = published_shapes(module, TRAINED_RULES)
    clip = published_shapes(module, clip_rules(module))
    assert len(trained) == 302
    ours = [entry[0] for entry in (*trained.values(), *clip.values())]
    assert sorted(ours) == sorted(module.state_dict())


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_trained_parameters_add_up(name):
    assert total(published_shapes(on_meta(name), TRAINED_RULES)) == TRAINED[name]


def test_the_two_decoders_add_up():
    table = published_shapes(on_meta("convnext_large_d_320"), TRAINED_RULES)
    for prefix, tensors, parameters in (
        ("sem_seg_head.pixel_decoder.", 117, 5_790_144),
        ("sem_seg_head.predictor.", 184, 14_930_689),
        ("void_embedding.", 1, 768),
    ):
        part = {key: value for key, value in table.items() if key.startswith(prefix)}
        assert (len(part), total(part)) == (tensors, parameters)


@pytest.mark.parametrize("name", sorted(CLIP))
def test_clip_parameters_add_up(name):
    module = on_meta(name)
    table = published_shapes(module, clip_rules(module))
    visual = {key: value for key, value in table.items() if key.startswith("visual.")}
    text = {key: value for key, value in table.items() if not key.startswith("visual.")}
    assert (total(visual), total(text) - 1) == CLIP[name]
    if name == "convnext_large_d_320":
        assert (len(table), total(table)) == (543, 351_772_609)


@pytest.mark.parametrize(
    "key, shape",
    [
        ("sem_seg_head.pixel_decoder.input_proj.0.0.weight", [256, 1536, 1, 1]),
        ("sem_seg_head.pixel_decoder.input_proj.2.0.weight", [256, 384, 1, 1]),
        ("sem_seg_head.pixel_decoder.transformer.level_embed", [3, 256]),
        (
            "sem_seg_head.pixel_decoder.transformer.encoder.layers.5.self_attn"
            ".sampling_offsets.weight",
            [192, 256],
        ),
        ("sem_seg_head.pixel_decoder.adapter_1.weight", [256, 192, 1, 1]),
        ("sem_seg_head.pixel_decoder.layer_1.norm.bias", [256]),
        ("sem_seg_head.predictor.query_feat.weight", [250, 256]),
        (
            "sem_seg_head.predictor.transformer_cross_attention_layers.8.multihead_attn"
            ".in_proj_weight",
            [768, 256],
        ),
        ("sem_seg_head.predictor.transformer_ffn_layers.0.linear1.weight", [2048, 256]),
        ("sem_seg_head.predictor._mask_pooling_proj.0.weight", [256]),
        ("sem_seg_head.predictor.class_embed.layers.2.weight", [768, 256]),
        ("sem_seg_head.predictor.logit_scale", []),
        ("void_embedding.weight", [1, 768]),
    ],
)
def test_trained_shapes_are_the_published_ones(key, shape):
    table = published_shapes(on_meta("convnext_large_d_320"), TRAINED_RULES)
    assert list(table[key][1]) == shape


@pytest.mark.parametrize("name", SHIPPED)
def test_clip_names_and_shapes_are_those_of_open_clip(published, name):
    raw = read_config("fc-clip", name)
    cfg = published.open_clip.get_model_config(raw["clip"]["model"])
    cfg.pop("custom_text", None)
    quick = raw["clip"]["text_encoder"]["activation"] == "quick_gelu"
    cfg["vision_cfg"]["timm_model_pretrained"] = False
    cfg["quick_gelu"] = quick
    with torch.device("meta"):
        theirs = published.open_clip.model.CLIP(**cfg).state_dict()
    module = on_meta(name)
    ours = published_shapes(module, clip_rules(module))
    assert {k: tuple(v.shape) for k, v in theirs.items()} == {
        k: tuple(shape) for k, (_, shape) in ours.items()
    }
