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
    names = module.state_dict()
    # An embedder learns with a scale of its own (spec sec. 5); CLIP's own tokens have CLIP's.
    with_scale = not any(name.startswith("patch_embedder.") for name in names)
    load = clip.load_clip if "image_tower.projection" in names else clip.load_text
    load(module, place, with_scale=with_scale)
