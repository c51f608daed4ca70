"""Write random checkpoints with the published key names and shapes.

    PYTHONPATH=test python -m oracle.make_checkpoint tiny_convnext --out DIR

makes DIR/trainable.pth ({"model": …}), DIR/trainable_flat.pth, DIR/clip.safetensors (when
safetensors is installed) and DIR/clip.bin. Values are drawn, then shifted on drawn pictures so
that mask logits have both signs and class scores spread over the classes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from .calibrate import spread_outputs
from .config import CONFIGS, OracleConfig
from .model import OracleModel
from .resnet import ResNetTower

CLIP_PREFIX = "backbone.clip_model."


def fill_with_random_values(model: OracleModel, seed: int) -> None:
    """Draw every tensor so that activations keep their scale through any depth."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.dtype == torch.float32:
            tensor.copy_(_draw(name, tensor, generator))
    decoder = model.sem_seg_head.pixel_decoder
    for layer in decoder.transformer.encoder.layers:
        layer.self_attn.sampling_offsets.bias.mul_(3.0)
    for tail in _residual_tails(model):
        tail.weight.mul_(0.3)


def _draw(name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(tensor.shape, generator=generator)
    if name.endswith("logit_scale"):
        return torch.tensor(math.log(6.0 if name.startswith(CLIP_PREFIX) else 40.0))
    if name.endswith("running_var"):
        return 0.5 + torch.rand(tensor.shape, generator=generator)
    if name.endswith("gamma"):
        return 0.3 * noise
    if name.endswith(("query_feat.weight", "query_embed.weight", "void_embedding.weight")):
        return noise
    if "embed" in name and not name.startswith("sem_seg_head.predictor.") or "level_embed" in name:
        return noise if "token_embedding" in name else 0.3 * noise
    if tensor.dim() < 2:
        is_norm_weight = name.endswith("weight")
        return 1 + 0.2 * noise if is_norm_weight else 0.1 * noise
    fan_in = tensor.shape[0] if name.endswith("text_projection") else tensor[0].numel()
    return noise / math.sqrt(fan_in)


def _residual_tails(model: OracleModel) -> Iterator[nn.Module]:
    """Last layers of residual branches, made small so that no branch drowns what it is added to.

    Queries that attention changes a little are also stable: with large branches one mask logit
    that rounds to the other side of zero would change whole masks.
    """
    tower = model.clip.visual
    if isinstance(tower, ResNetTower):
        for layer in (tower.layer1, tower.layer2, tower.layer3, tower.layer4):
            yield from (block.bn3 for block in layer)
    predictor = model.sem_seg_head.predictor
    yield from (m.self_attn.out_proj for m in predictor.transformer_self_attention_layers)
    yield from (m.multihead_attn.out_proj for m in predictor.transformer_cross_attention_layers)
    yield from (m.linear2 for m in predictor.transformer_ffn_layers)


def build_model(config: OracleConfig, seed: int = 0) -> OracleModel:
    """A model with random, spread values; the same for the same arguments."""
    with torch.inference_mode():
        model = OracleModel(config)
        fill_with_random_values(model, seed)
        spread_outputs(model)
    return model


def split_state(model: OracleModel) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Trainable tensors under their published names, and CLIP's without the prefix."""
    trainable: dict[str, Tensor] = {}
    clip: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        target, key = (
            (clip, name.removeprefix(CLIP_PREFIX))
            if name.startswith(CLIP_PREFIX)
            else (trainable, name)
        )
        target[key] = tensor.detach().clone().contiguous()
    return trainable, clip


def write_checkpoint(model: OracleModel, folder: Path) -> tuple[Path, Path]:
    """Write all forms; returns the nested .pth and the CLIP file to convert from."""
    folder.mkdir(parents=True, exist_ok=True)
    trainable, clip = split_state(model)
    flat = {
        **trainable,
        "criterion.empty_weight": torch.cat([torch.ones(133), torch.tensor([0.1])]),
    }
    torch.save({"model": flat, "iteration": 368749}, folder / "trainable.pth")
    torch.save(trainable, folder / "trainable_flat.pth")
    torch.save(clip, folder / "clip.bin")
    clip_path = folder / "clip.bin"
    try:
        from safetensors.torch import save_file
    except ImportError:
        print("safetensors is not installed: clip.safetensors was left out")
    else:
        clip_path = folder / "clip.safetensors"
        save_file(clip, clip_path)
    return folder / "trainable.pth", clip_path


def main() -> None:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", choices=sorted(CONFIGS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for path in write_checkpoint(build_model(CONFIGS[options.config], options.seed), options.out):
        print(path)


if __name__ == "__main__":
    main()
