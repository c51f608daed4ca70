"""The configuration of OVSeg: everything that fixes its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from lexiseg_models.configuration import ConfigError, parse, section
from lexiseg_models.methods.backbone import BackboneConfig, parse_tower
from lexiseg_models.methods.clip_section import parse_clip
from lexiseg_models.parts.ensemble import EnsembleConfig
from lexiseg_models.parts.preprocess import ImageConfig
from lexiseg_models.parts.pyramid_decoder import PyramidDecoderConfig
from lexiseg_models.parts.query_decoder import QueryDecoderConfig
from lexiseg_models.parts.region_crops import RegionConfig
from lexiseg_models.parts.swin import SwinConfig
from lexiseg_models.parts.text_encoder import TextEncoderConfig
from lexiseg_models.parts.vision_transformer import VisionTransformerConfig

_SECTIONS = (
    "clip",
    "backbone",
    "pixel_decoder",
    "transformer_decoder",
    "image",
    "regions",
    "ensemble",
    "objective",
    "thresholds",
    "prompt_templates",
    "training_vocabulary",
)


@dataclass(frozen=True)
class ProposerConfig:
    """Of what proposes masks."""

    backbone: BackboneConfig
    pixel_decoder: PyramidDecoderConfig
    transformer_decoder: QueryDecoderConfig


@dataclass(frozen=True)
class OvsegConfig:
    """Everything that fixes the network; see the files in configs/ovseg.

    Attributes:
        proposer: None where another bundle's masks are named.
    """

    embedding_dim: int
    image_tower: VisionTransformerConfig
    text_encoder: TextEncoderConfig
    proposer: Optional[ProposerConfig]
    image: ImageConfig
    regions: RegionConfig
    ensemble: EnsembleConfig


def parse_config(data: Mapping[str, Any]) -> OvsegConfig:
    """Reads the network's part of a config file; the exporter reads the rest."""
    section(data, "", _SECTIONS)
    clip = parse_clip(data, ("vision-transformer",))
    regions = parse(RegionConfig, data.get("regions"), "regions")
    if not 0.0 < regions.threshold < 1.0:
        raise ConfigError("Expected a number between 0 and 1 for regions.threshold")
    return OvsegConfig(
        embedding_dim=clip.embedding_dim,
        image_tower=clip.image_tower,
        text_encoder=clip.text_encoder,
        proposer=_parse_proposer(data),
        image=parse(ImageConfig, data.get("image"), "image"),
        regions=regions,
        ensemble=parse(EnsembleConfig, data.get("ensemble"), "ensemble"),
    )


def _parse_proposer(data: Mapping[str, Any]) -> Optional[ProposerConfig]:
    names = ("backbone", "pixel_decoder", "transformer_decoder")
    if all(data.get(name) is None for name in names):
        return None
    decoder = parse(QueryDecoderConfig, data.get("transformer_decoder"), "transformer_decoder")
    pixel_decoder = parse(PyramidDecoderConfig, data.get("pixel_decoder"), "pixel_decoder")
    if pixel_decoder.width != decoder.width:
        raise ConfigError("pixel_decoder.width and transformer_decoder.width differ")
    if decoder.width % decoder.heads != 0:
        raise ConfigError(f"Expected transformer_decoder.width to be a multiple of {decoder.heads}")
    if not 0.0 <= decoder.dropout < 1.0:
        raise ConfigError("Expected a number of 0 to less than 1 for transformer_decoder.dropout")
    backbone = parse_tower(data.get("backbone"), "backbone", ("swin", "resnet"))
    if isinstance(backbone, SwinConfig) and not 0.0 <= backbone.drop_path < 1.0:
        raise ConfigError("Expected a number of 0 to less than 1 for backbone.drop_path")
    return ProposerConfig(backbone, pixel_decoder, decoder)
