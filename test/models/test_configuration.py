"""Config files: inheritance, and mistakes that are named by their place."""

import json
from dataclasses import dataclass

import pytest
from lexiseg_models.configuration import ConfigError, config_names, parse, read_config, section
from lexiseg_models.methods import METHODS, fc_clip


@dataclass(frozen=True)
class Sample:
    """A config of every kind of field."""

    count: int
    ratio: float
    name: str
    sharp: bool
    pair: tuple[int, int]


SAMPLE = {"count": 3, "ratio": 1, "name": "x", "sharp": False, "pair": [1, 2]}


def test_reads_every_kind_of_field():
    assert parse(Sample, SAMPLE, "sample") == Sample(3, 1.0, "x", False, (1, 2))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"count": 1.5}, "int for sample.count but received 1.5"),
        ({"count": True}, "int for sample.count"),
        ({"count": 0}, "positive int for sample.count"),
        ({"ratio": "1"}, "float for sample.ratio"),
        ({"ratio": float("nan")}, "finite number for sample.ratio"),
        ({"sharp": 1}, "bool for sample.sharp"),
        ({"pair": [1, 2, 3]}, "2 entries for sample.pair"),
        ({"pair": [1, "2"]}, r"int for sample.pair\[1\]"),
        ({"colour": 1}, "sample: unknown colour"),
    ],
)
def test_names_the_place_of_a_mistake(change, message):
    with pytest.raises(ConfigError, match=message):
        parse(Sample, {**SAMPLE, **change}, "sample")


def test_names_what_is_missing():
    with pytest.raises(ConfigError, match="sample: missing name"):
        parse(Sample, {key: value for key, value in SAMPLE.items() if key != "name"}, "sample")
    with pytest.raises(ConfigError, match="object for image"):
        section({"image": 3}, "image", ["mean"])


@pytest.mark.parametrize("name", config_names("fc-clip"))
def test_every_shipped_config_parses(name):
    assert fc_clip.parse_config(read_config("fc-clip", name)).image.divisor == 32


@pytest.mark.parametrize("method", sorted(METHODS))
@pytest.mark.parametrize(
    "change, message",
    [
        ({"embedding_dim": 0}, "positive int for clip.embedding_dim but received 0"),
        ({"embedding_dim": True}, "positive int for clip.embedding_dim but received True"),
        ({"image_tower": {"kind": "resnet"}}, "for clip.image_tower.kind but received 'resnet'"),
        ({"text_encoder": {}}, "clip.text_encoder: missing width"),
        ({"temperature": 1}, "clip: unknown temperature"),
    ],
)
def test_every_method_names_the_faults_of_its_towers_alike(method, change, message):
    raw = read_config(method, "tiny")
    with pytest.raises(ConfigError, match=message):
        METHODS[method].composer.parse_config({**raw, "clip": {**raw["clip"], **change}})


@pytest.mark.parametrize("method", ["fc-clip", "gkc"])
@pytest.mark.parametrize(
    "change, message",
    [
        ({"width": 32}, "pixel_decoder.width and transformer_decoder.width differ"),
        ({"heads": 3}, "pixel_decoder.width to be a multiple of 3"),
    ],
)
def test_decoders_that_do_not_fit_are_refused(method, change, message):
    raw = read_config(method, "tiny")
    changed = {**raw, "pixel_decoder": {**raw["pixel_decoder"], **change}}
    with pytest.raises(ConfigError, match=message):
        METHODS[method].composer.parse_config(changed)


def test_names_are_found_in_any_case():
    assert read_config("fc-clip", "RN50x4") == read_config("fc-clip", "rn50x4")


def test_the_published_networks_resize_masks_before_pooling():
    for name in config_names("fc-clip"):
        config = fc_clip.parse_config(read_config("fc-clip", name))
        assert config.pooling.masks == ("fine" if name == "demo" else "resized")
    with pytest.raises(ConfigError, match="pooling.masks: a ResNet"):
        fc_clip.parse_config({**read_config("fc-clip", "rn50"), "pooling": {"masks": "fine"}})


def test_resnets_use_the_valid_mask_variant_and_quick_gelu():
    for name in config_names("fc-clip"):
        config = fc_clip.parse_config(read_config("fc-clip", name))
        assert config.ensemble.on_valid_mask_only == name.startswith("rn")
        assert (config.text_encoder.activation == "quick_gelu") == name.startswith("rn")


def test_a_file_states_only_what_differs_from_a_shipped_one(tmp_path):
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"extends": "tiny", "image": {"shortest_edge": 96}}))
    config = fc_clip.parse_config(read_config("fc-clip", str(own)))
    assert (config.image.shortest_edge, config.image.longest_edge) == (96, 512)
    assert config.transformer_decoder.queries == 16


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ("[]", "Expected an object"),
        ('{"extends": "nowhere"}', "does not exist"),
        ('{"extends": 3}', 'name for "extends"'),
        ('{"extends": "own"}', "more than four files deep"),
        ('{"extends": "tiny", "ensembel": {}}', "unknown ensembel"),
        ('{"extends": "tiny", "clip": {"dim": 3}}', "clip: unknown dim"),
        ('{"extends": "tiny", "clip": 3}', "object for clip"),
        ('{"extends": "tiny", "clip": {"embedding_dim": "64"}}', "embedding_dim"),
        (
            '{"extends": "tiny", "clip": {"image_tower": {"kind": "vit"}}}',
            "convnext or clip-resnet",
        ),
        ('{"extends": "tiny", "pixel_decoder": {"width": 32}}', "widths? .*differ|width.*differ"),
        ('{"extends": "tiny", "image": {"mean": [1, 2]}}', "3 entries for image.mean"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path, text, message):
    own = tmp_path / "own.json"
    own.write_text(text)
    with pytest.raises(ConfigError, match=message):
        fc_clip.parse_config(read_config("fc-clip", str(own)))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match="convnext_large_d_320.*tiny.* but received huge"):
        read_config("fc-clip", "huge")
