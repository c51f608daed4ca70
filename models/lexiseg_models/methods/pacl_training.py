"""PACL with its training loss (arXiv 2212.04994, sec. 3): towers frozen, the embedder trained."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Union

import torch
from torch import Tensor, nn

from lexiseg_models.methods.pacl import ClipPacl, Pacl, build_parts
from lexiseg_models.methods.pacl_config import meets_text, parse_config
from lexiseg_models.objectives.parameter_groups import (
    LOG_SCALE_BOUNDS,
    Part,
    gains_and_biases,
    parameter_groups,
)
from lexiseg_models.objectives.patch_alignment import PatchAlignment

PARTS = (
    Part("image_tower", ("image_tower",), frozen=True, learning_rate_multiplier=0.1),
    Part("text_encoder", ("text_encoder",), frozen=True, learning_rate_multiplier=0.1),
    Part("patch_embedder", ("patch_embedder",), frozen=False, learning_rate_multiplier=1.0),
    Part("logit_scale", ("classifier",), False, 1.0, LOG_SCALE_BOUNDS),
)


class _Losses(nn.Module):
    """What both kinds learn from."""

    def __init__(self, **parts: Any) -> None:
        """`parts` are those of the method."""
        super().__init__(**parts)
        self.objective = PatchAlignment(self.sharpness)

    @torch.jit.export
    def losses(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Weighted losses by name; their sum is what training makes small.

        Args:
            batch: `images` uint8 [B, H, W, 3] of the size the network sees and `token_ids` int64
                [B, L] of a text of each.
        """
        network_input = self.preprocess.normalise(batch["images"])
        patches = self.embed_patches(network_input, self.image_tower.patch).flatten(1, 2)
        text = self.text_encoder(batch["token_ids"])
        return self.objective(patches, text, self.classifier.scale())


class TrainablePacl(_Losses, Pacl):
    """The method with `losses` beside what it does at inference."""


class TrainableClipPacl(_Losses, ClipPacl):
    """The method with `losses` beside what it does at inference."""


Trainable = Union[TrainablePacl, TrainableClipPacl]


def build_trainable(data: Mapping[str, Any]) -> Trainable:
    """Composes the method with its objective from a config file."""
    config = parse_config(data)
    return (TrainableClipPacl if meets_text(config) else TrainablePacl)(
        **build_parts(config)
    ).eval()


def batch_kind(data: Mapping[str, Any]) -> str:
    """What `losses` takes."""
    return "image-text"


def groups(module: Trainable) -> List[Dict[str, Any]]:
    """Parameter groups for the manifest."""
    return parameter_groups(module, PARTS, gains_and_biases)
