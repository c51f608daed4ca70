"""CLIP's weights for patches of CLIP, or for those of a tower that never met texts."""

from __future__ import annotations

from torch import nn

from lexiseg_models.convert import clip


def load_clip(module: nn.Module, place: str) -> None:
    """Fills what of `module` is CLIP's: both towers, or the text tower beside another image tower.

    Args:
        module: the method, not on the meta device.
        place: open_clip's weights (file, folder or cached hub id), or a bundle of a CLIP.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    if "image_tower.projection" in module.state_dict():
        clip.load_clip(module, place)
    else:
        clip.load_text(module, place)
