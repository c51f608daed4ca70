"""The section "clip" that every method's config has: two towers into one space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from lexiseg_models.configuration import ConfigError, parse, section
from lexiseg_models.methods.backbone import parse_tower
from lexiseg_models.parts.text_encoder import TextEncoderConfig

_KEYS = ("model", "pretrained", "licence", "embedding_dim", "image_tower", "text_encoder")


@dataclass(frozen=True)
class ClipSection:
    """Shapes of a CLIP's towers.

    Attributes:
        embedding_dim: width of the space that both lead to.
        image_tower: the config of one of the kinds that the method can be built on.
        text_encoder: of the text tower.
    """

    embedding_dim: int
    image_tower: Any
    text_encoder: TextEncoderConfig


def parse_clip(data: Mapping[str, Any], towers: Sequence[str]) -> ClipSection:
    """Reads the section "clip" of a config file; model, pretrained and licence are for people.

    Args:
        data: the whole file.
        towers: kinds of image towers that the method can be built on.
    """
    clip = section(data, "clip", _KEYS)
    width = clip["embedding_dim"]
    if type(width) is not int or width < 1:
        raise ConfigError(f"Expected a positive int for clip.embedding_dim but received {width!r}")
    return ClipSection(
        embedding_dim=width,
        image_tower=parse_tower(clip["image_tower"], "clip.image_tower", towers),
        text_encoder=parse(TextEncoderConfig, clip["text_encoder"], "clip.text_encoder"),
    )
