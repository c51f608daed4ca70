"""CLIP's weights for patches of CLIP, or for those of a tower that never met texts."""

from __future__ import annotations

from typing import FrozenSet, Mapping

import torch
from torch import Tensor, nn

from lexiseg_models.convert import clip

_SHORTCUT = "patch_embedder.shortcut.weight"
_PROJECTION = "image_tower.projection"


def load_clip(module: nn.Module, place: str) -> FrozenSet[str]:
    """Fills what of `module` is CLIP's: both towers, or the text tower beside another image tower.

    Args:
        module: the method, not on the meta device.
        place: open_clip's weights (file, folder or cached hub id), or a bundle of a CLIP.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    names = module.state_dict()
    near = _starts_near_projection(names)
    load = clip.load_clip if "image_tower.projection" in names else clip.load_text
    filled = load(module, place, with_scale=_has_scale_of_clip(module))
    if near:
        own = module.state_dict()
        own[_SHORTCUT].copy_(own[_PROJECTION].t())
    return filled


def load_text(module: nn.Module, place: str) -> FrozenSet[str]:
    """Fills the text tower, and the scale of cosines where `load_clip` would."""
    return clip.load_text(module, place, with_scale=_has_scale_of_clip(module))


def _has_scale_of_clip(module: nn.Module) -> bool:
    """Whether its cosines are scaled as CLIP's own are, unless the config fixed another scale.

    An embedder learns with a scale of its own (spec sec. 5).
    """
    fixed = "classifier.logit_scale" in dict(module.named_buffers())
    embeds = any(name.startswith("patch_embedder.") for name in module.state_dict())
    return not fixed and not embeds


def _starts_near_projection(own: Mapping[str, Tensor]) -> bool:
    """Whether an embedder begins with the projection of the tower beside it, and goes with it."""
    if _SHORTCUT not in own or _PROJECTION not in own:
        return False
    return torch.equal(own[_SHORTCUT], own[_PROJECTION].t())
