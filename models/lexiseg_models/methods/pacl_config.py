"""The configuration of PACL: everything that fixes its network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Union

from lexiseg_models.configuration import ConfigError, parse, section
from lexiseg_models.methods.clip_section import parse_clip
from lexiseg_models.parts.dense import DenseConfig
from lexiseg_models.parts.dino_transformer import DinoTransformerConfig
from lexiseg_models.parts.pooled_transformer import PooledTransformerConfig
from lexiseg_models.parts.preprocess import ImageConfig
from lexiseg_models.parts.text_encoder import TextEncoderConfig
from lexiseg_models.parts.vision_transformer import VisionTransformerConfig

_SECTIONS = (
    "clip",
    "image",
    "dense",
    "objective",
    "prompt_templates",
    "training_vocabulary",
)
_TOWERS = ("vision-transformer", "pooled-transformer", "dino-transformer")
_EMBEDDERS = ("residual", "projection")


@dataclass(frozen=True)
class ObjectiveConfig:
    """How images and texts are compared, while training and of whole images.

    Attributes:
        sharpness: of the softmax over patches; 1 is the paper's formula, 10 makes it choose.
        scale: of the cosines in the loss, at the start: above 0, at most 100.
        scale_learned: whether training changes it; CLIP's own is a fixed 100.
    """

    sharpness: float
    scale: float
    scale_learned: bool


@dataclass(frozen=True)
class PaclConfig:
    """Everything that fixes the network; see the files in configs/pacl."""

    embedding_dim: int
    image_tower: Union[VisionTransformerConfig, PooledTransformerConfig, DinoTransformerConfig]
    text_encoder: TextEncoderConfig
    image: ImageConfig
    dense: DenseConfig
    objective: ObjectiveConfig


def parse_config(data: Mapping[str, Any]) -> PaclConfig:
    """Reads the network's part of a config file; the exporter reads the rest."""
    section(data, "", _SECTIONS)
    clip = parse_clip(data, _TOWERS)
    tower = clip.image_tower
    dense = parse(DenseConfig, data.get("dense"), "dense")
    image = parse(ImageConfig, data.get("image"), "image")
    if dense.embedder not in _EMBEDDERS:
        raise ConfigError(
            f"Expected residual or projection for dense.embedder but received {dense.embedder!r}"
        )
    if dense.embedder == "projection" and isinstance(tower, DinoTransformerConfig):
        raise ConfigError("Expected residual for dense.embedder: the tower has no projection")
    projects = "projection" in (dense.embedder, dense.embedder_start)
    if projects and not dense.final_norm:
        raise ConfigError("Expected true for dense.final_norm: CLIP projects normed tokens")
    untrained = dense.embedder == "projection" or isinstance(tower, DinoTransformerConfig)
    if dense.embedder_start == "projection" and untrained:
        raise ConfigError(
            "Expected random for dense.embedder_start: no embedder beside CLIP's projection"
        )
    if dense.stride > tower.patch:
        raise ConfigError(f"Expected at most {tower.patch} for dense.stride")
    objective = parse(ObjectiveConfig, data.get("objective"), "objective")
    if not 0.0 < objective.scale <= 100.0:
        raise ConfigError("Expected a number above 0 and at most 100 for objective.scale")
    return PaclConfig(
        embedding_dim=clip.embedding_dim,
        image_tower=clip.image_tower,
        text_encoder=clip.text_encoder,
        image=image,
        dense=dense,
        objective=objective,
    )


def meets_text(config: PaclConfig) -> bool:
    """Whether the image tower is CLIP's, so that it embeds whole images too."""
    return not isinstance(config.image_tower, DinoTransformerConfig)
