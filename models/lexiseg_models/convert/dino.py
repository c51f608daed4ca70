"""Weights of an image tower that learned without texts, by the names DINO and DINOv2 published."""

from __future__ import annotations

from pathlib import Path
from typing import FrozenSet, Tuple

from torch import nn

from lexiseg_models.convert.matching import Rule, assign_tensors, match_tensors
from lexiseg_models.convert.tensors import CheckpointError, read_tensors

_BLOCK = r"image_tower\.blocks\.(\d+)\."

RULES: Tuple[Rule, ...] = (
    (r"image_tower\.patches\.(\w+)", r"patch_embed.proj.\1"),
    (r"image_tower\.class_token", r"cls_token"),
    (r"image_tower\.position_embedding", r"pos_embed"),
    (r"image_tower\.register_tokens", r"register_tokens"),
    (r"image_tower\.norm\.(\w+)", r"norm.\1"),
    (_BLOCK + r"norm_attention\.(\w+)", r"blocks.\1.norm1.\2"),
    (_BLOCK + r"attention\.in_(\w+)", r"blocks.\1.attn.qkv.\2"),
    (_BLOCK + r"attention\.out\.(\w+)", r"blocks.\1.attn.proj.\2"),
    (_BLOCK + r"scale_attention\.(\w+)", r"blocks.\1.ls1.\2"),
    (_BLOCK + r"norm_mlp\.(\w+)", r"blocks.\1.norm2.\2"),
    (_BLOCK + r"expand\.(\w+)", r"blocks.\1.mlp.fc1.\2"),
    (_BLOCK + r"project\.(\w+)", r"blocks.\1.mlp.fc2.\2"),
    (_BLOCK + r"scale_mlp\.(\w+)", r"blocks.\1.ls2.\2"),
)
# Stands for hidden patches in training; nothing is hidden afterwards.
_UNUSED = ("mask_token",)


def load_tower(module: nn.Module, path: Path) -> FrozenSet[str]:
    """Fills the image tower of `module`, which is no CLIP's, and leaves the rest as it is.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    names = module.state_dict()
    if "image_tower.patches.bias" not in names or "image_tower.projection" in names:
        raise CheckpointError("The config has CLIP's image tower: its weights come by --clip")
    tensors = {
        # Published tokens and positions have a batch of one.
        name: tensor[0] if name == "pos_embed" or name.endswith("_tokens") else tensor
        for name, tensor in read_tensors(path).items()
        if name not in _UNUSED
    }
    if "cls_token" in tensors:
        tensors["cls_token"] = tensors["cls_token"].flatten()
    found, faults = match_tensors(module, RULES, tensors, "tower")
    assign_tensors(module, {**names, **found}, faults)
    return frozenset(found)
