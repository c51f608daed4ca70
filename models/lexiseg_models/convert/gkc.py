"""CLIP's weights for a network that learns from CLIP: it begins as what it is taught by."""

from __future__ import annotations

from pathlib import Path
from typing import FrozenSet

from torch import nn

from lexiseg_models.convert import clip


def load_clip(module: nn.Module, place: str) -> FrozenSet[str]:
    """Fills the backbone and the text tower, and the teacher of a network that has one.

    Args:
        module: the method, not on the meta device.
        place: open_clip's weights (file, folder or cached hub id), or a bundle of a CLIP.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    # Its scale of cosines learns from its own start (spec sec. 2).
    filled = clip.load_clip(module, place, with_scale=False)
    teacher, student = (getattr(module, name, None) for name in ("teacher_tower", "image_tower"))
    if isinstance(teacher, nn.Module) and isinstance(student, nn.Module):
        teacher.load_state_dict(student.state_dict())
        filled |= {f"teacher_tower.{name}" for name in teacher.state_dict()}
    return filled


def load_text(module: nn.Module, place: str) -> FrozenSet[str]:
    """Fills the text tower; the scale of cosines keeps its own start, as with `load_clip`."""
    return clip.load_text(module, place, with_scale=False)


def load_tower(module: nn.Module, path: Path) -> FrozenSet[str]:
    """Gives the network a backbone that is not its teacher's, and leaves the rest as it is.

    Args:
        module: the method, not on the meta device.
        path: a bundle of any method, or open_clip's weights, with a tower of the same shape.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    return clip.load_trunk(module, str(path))
