"""The feature pyramids that methods are built on, read from configs by their kind."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Sequence, Tuple, Union

from torch import nn

from lexiseg_models.configuration import ConfigError, parse
from lexiseg_models.parts.clip_resnet import ClipResNet, ClipResNetConfig
from lexiseg_models.parts.convnext import ConvNext, ConvNextConfig
from lexiseg_models.parts.dino_transformer import DinoTransformerConfig
from lexiseg_models.parts.pooled_transformer import PooledTransformerConfig
from lexiseg_models.parts.resnet import ResNet, ResNetConfig
from lexiseg_models.parts.swin import Swin, SwinConfig
from lexiseg_models.parts.vision_transformer import VisionTransformerConfig

BackboneConfig = Union[ConvNextConfig, ClipResNetConfig, ResNetConfig, SwinConfig]
_KINDS: Dict[str, Any] = {
    "convnext": ConvNextConfig,
    "clip-resnet": ClipResNetConfig,
    "resnet": ResNetConfig,
    "swin": SwinConfig,
    "vision-transformer": VisionTransformerConfig,
    "pooled-transformer": PooledTransformerConfig,
    "dino-transformer": DinoTransformerConfig,
}


def parse_tower(data: Any, where: str, kinds: Sequence[str]) -> Any:
    """Reads the config of a tower of one of `kinds`, named by its key "kind".

    Args:
        data: the object in the config file.
        where: its place there, for messages.
        kinds: those that the method can be built on.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"Expected an object for {where} but received {data!r}")
    kind = data.get("kind")
    if kind not in kinds:
        raise ConfigError(f"Expected {' or '.join(kinds)} for {where}.kind but received {kind!r}")
    rest = {key: value for key, value in data.items() if key != "kind"}
    return parse(_KINDS[kind], rest, where)


def build_backbone(config: BackboneConfig) -> Tuple[nn.Module, Tuple[int, ...]]:
    """A backbone with fresh weights, and the channels of res2 to res5."""
    if isinstance(config, ConvNextConfig):
        return ConvNext(config), config.widths
    if isinstance(config, SwinConfig):
        return Swin(config), tuple(config.width * 2**i for i in range(4))
    widths = tuple(4 * config.width * 2**i for i in range(4))
    if isinstance(config, ClipResNetConfig):
        return ClipResNet(config), widths
    return ResNet(config), widths
