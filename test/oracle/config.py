"""Sizes of the published networks and of the tiny ones used in tests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class ConvNeXtConfig:
    """A ConvNeXt CLIP image tower; `mlp_head` selects the two-layer projection head."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    mlp_head: bool
    norm_eps: float = 1e-6

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of res2…res5."""
        return self.widths


@dataclass(frozen=True)
class ResNetConfig:
    """A CLIP ResNet image tower; `image_size` fixes the rows of the positional table."""

    depths: tuple[int, int, int, int]
    width: int
    heads: int
    image_size: int

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels of res2…res5."""
        return (4 * self.width, 8 * self.width, 16 * self.width, 32 * self.width)


@dataclass(frozen=True)
class TextConfig:
    """A CLIP text tower."""

    width: int
    heads: int
    layers: int
    quick_gelu: bool
    context_length: int = 77
    vocab_size: int = 49408


@dataclass(frozen=True)
class DecoderConfig:
    """Pixel decoder and query decoder."""

    hidden_dim: int = 256
    mask_dim: int = 256
    groups: int = 32
    heads: int = 8
    points: int = 4
    encoder_layers: int = 6
    encoder_feedforward_dim: int = 1024
    queries: int = 250
    decoder_layers: int = 9
    decoder_feedforward_dim: int = 2048


@dataclass(frozen=True)
class OracleConfig:
    """One whole network with its test-time constants."""

    image: ConvNeXtConfig | ResNetConfig
    text: TextConfig
    embed_dim: int
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    shortest_edge: int = 800
    longest_edge: int = 1333
    divisor: int = 32
    alpha: float = 0.4
    beta: float = 0.8
    ensemble_on_valid_mask: bool = False
    object_mask_threshold: float = 0.0
    overlap_threshold: float = 0.8
    instance_top_k: int = 100


PIXEL_MEAN = (122.7709383, 116.7460125, 104.09373615)
PIXEL_STD = (68.5005327, 66.6321579, 70.32316305)

_TINY_DECODER = DecoderConfig(
    hidden_dim=64,
    mask_dim=64,
    encoder_layers=2,
    encoder_feedforward_dim=128,
    queries=60,
    decoder_layers=3,
    decoder_feedforward_dim=128,
)
_TINY_TEXT = TextConfig(width=64, heads=2, layers=2, quick_gelu=False)


def _convnext(
    depths: tuple[int, int, int, int],
    widths: tuple[int, int, int, int],
    text: TextConfig,
    embed_dim: int,
) -> OracleConfig:
    large = depths[2] == 27 and widths[0] == 192
    eps = 1e-5 if widths[0] == 384 else 1e-6
    image = ConvNeXtConfig(depths=depths, widths=widths, mlp_head=large, norm_eps=eps)
    return OracleConfig(image=image, text=text, embed_dim=embed_dim)


def _resnet(image: ResNetConfig, text_width: int, embed_dim: int) -> OracleConfig:
    text = TextConfig(width=text_width, heads=text_width // 64, layers=12, quick_gelu=True)
    return OracleConfig(
        image=image,
        text=text,
        embed_dim=embed_dim,
        ensemble_on_valid_mask=True,
    )


CONFIGS: dict[str, OracleConfig] = {
    "convnext_base_w": _convnext(
        (3, 3, 27, 3), (128, 256, 512, 1024), TextConfig(640, 10, 12, False), 640
    ),
    "convnext_large_d": _convnext(
        (3, 3, 27, 3), (192, 384, 768, 1536), TextConfig(768, 12, 16, False), 768
    ),
    "convnext_xxlarge": _convnext(
        (3, 4, 30, 3), (384, 768, 1536, 3072), TextConfig(1024, 16, 24, False), 1024
    ),
    "rn50": _resnet(ResNetConfig((3, 4, 6, 3), 64, 32, 224), 512, 1024),
    "rn101": _resnet(ResNetConfig((3, 4, 23, 3), 64, 32, 224), 512, 512),
    "rn50x4": _resnet(ResNetConfig((4, 6, 10, 6), 80, 40, 288), 640, 640),
    "rn50x16": _resnet(ResNetConfig((6, 8, 18, 8), 96, 48, 384), 768, 768),
    "rn50x64": _resnet(ResNetConfig((3, 15, 36, 10), 128, 64, 448), 1024, 1024),
    "tiny_convnext": OracleConfig(
        image=ConvNeXtConfig((1, 1, 2, 1), (16, 32, 64, 96), mlp_head=True),
        text=_TINY_TEXT,
        embed_dim=48,
        decoder=_TINY_DECODER,
        shortest_edge=160,
        longest_edge=266,
    ),
    "tiny_resnet": OracleConfig(
        image=ResNetConfig((1, 2, 1, 1), 8, 4, 224),
        text=replace(_TINY_TEXT, quick_gelu=True),
        embed_dim=48,
        decoder=_TINY_DECODER,
        shortest_edge=160,
        longest_edge=266,
        ensemble_on_valid_mask=True,
    ),
}
