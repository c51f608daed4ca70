"""The oracle's CLIP towers against open_clip and timm, on random weights of one state dict."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from oracle.clip import Clip
from oracle.config import CONFIGS, ConvNeXtConfig, OracleConfig, ResNetConfig, TextConfig
from oracle.torchvision_ops import define_missing_operators
from oracle.vocabulary import tokenize

define_missing_operators()
open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed")


def _text_config(text: TextConfig) -> dict[str, int]:
    return {
        "context_length": text.context_length,
        "vocab_size": text.vocab_size,
        "width": text.width,
        "heads": text.heads,
        "layers": text.layers,
    }


def _published_clip(config: OracleConfig) -> torch.nn.Module:
    if isinstance(config.image, ResNetConfig):
        vision = {
            "image_size": config.image.image_size,
            "layers": list(config.image.depths),
            "width": config.image.width,
        }
    else:
        vision = {
            "image_size": 224,
            "timm_model_name": "convnext_tiny",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "mlp" if config.image.mlp_head else "linear",
        }
    model = open_clip.model.CLIP(
        config.embed_dim, vision, _text_config(config.text), quick_gelu=config.text.quick_gelu
    )
    generator = torch.Generator().manual_seed(3)
    for name, tensor in model.state_dict().items():
        if tensor.dtype == torch.float32 and not name.endswith("running_var"):
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.add_(0.05 * noise if tensor.dim() < 2 else 0.01 * noise)
    return model.eval()


def _oracle_clip(config: OracleConfig, published: torch.nn.Module) -> Clip:
    clip = Clip(config)
    state = {k: v for k, v in published.state_dict().items() if k != "attn_mask"}
    clip.load_state_dict(state, strict=True)
    return clip.eval()


def _relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max() / expected.abs().max())


_TEXT = TextConfig(width=64, heads=2, layers=2, quick_gelu=False)
_CONVNEXT = OracleConfig(
    image=ConvNeXtConfig((3, 3, 9, 3), (96, 192, 384, 768), mlp_head=True),
    text=_TEXT,
    embed_dim=40,
)
CASES = {
    "convnext with an MLP head": _CONVNEXT,
    "convnext with a linear head": replace(
        _CONVNEXT, image=replace(_CONVNEXT.image, mlp_head=False)
    ),
    "resnet with QuickGELU": replace(CONFIGS["tiny_resnet"], text=replace(_TEXT, quick_gelu=True)),
}


@pytest.mark.parametrize("name", CASES)
@torch.inference_mode()
def test_towers_agree_with_open_clip(name: str) -> None:
    config = CASES[name]
    published = _published_clip(config)
    clip = _oracle_clip(config, published)
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(5))
    assert _relative(clip.visual.image_embeddings(image), published.encode_image(image)) < 1e-4
    tokens = torch.tensor([tokenize("a photo of a cat."), tokenize("the wooden floor, twice")])
    assert _relative(clip.encode_text(tokens), published.encode_text(tokens)) < 1e-4


@torch.inference_mode()
def test_feature_pyramid_is_the_raw_stage_output() -> None:
    published = _published_clip(_CONVNEXT)
    clip = _oracle_clip(_CONVNEXT, published)
    image = torch.randn(1, 3, 96, 160, generator=torch.Generator().manual_seed(6))
    x = published.visual.trunk.stem(image)
    for stage, ours in zip(
        published.visual.trunk.stages, clip.visual.feature_maps(image), strict=True
    ):
        x = stage(x)
        assert _relative(ours, x) < 1e-4


def test_tokens_agree_with_open_clip() -> None:
    tokenizer = open_clip.SimpleTokenizer()
    texts = [
        "a photo of a traffic-light.",
        "it's 42 wooden_floors!",
        "There is a SOFA in the scene",
    ]
    for text in texts:
        assert tokenize(text) == tokenizer(text)[0].tolist()
