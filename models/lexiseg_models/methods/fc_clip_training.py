"""FC-CLIP with its training loss (arXiv 2308.02487, sec. 4.1): CLIP frozen, the rest trained."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

import torch
from torch import Tensor, nn

from lexiseg_models.configuration import parse
from lexiseg_models.methods.fc_clip import FcClip, build_parts, parse_config
from lexiseg_models.objectives.mask_classification import (
    MaskClassification,
    MaskClassificationConfig,
    read_segments,
)
from lexiseg_models.objectives.parameter_groups import (
    Part,
    norms_and_embeddings,
    parameter_groups,
)
from lexiseg_models.parts.classifier import VoidEmbedding, synonym_maximum

_TOWER = ("image_tower", "region_head", "out_of_vocabulary_classifier")
_DECODER = (
    "pixel_decoder",
    "transformer_decoder",
    "region_embedder",
    "in_vocabulary_classifier",
    "void_embedding",
)
PARTS = (
    Part("image_tower", _TOWER, frozen=True, learning_rate_multiplier=0.1),
    Part("text_encoder", ("text_encoder",), frozen=True, learning_rate_multiplier=0.1),
    Part("decoder", _DECODER, frozen=False, learning_rate_multiplier=1.0),
)


class TrainableFcClip(FcClip):
    """The method with `losses` beside what it does at inference."""

    def __init__(self, objective: MaskClassification, **parts: Any) -> None:
        """`parts` are those of the method."""
        super().__init__(**parts)
        self.objective = objective

    @torch.jit.export
    def losses(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Weighted losses by name; their sum is what training makes small.

        Args:
            batch: `images` uint8 [B, H, W, 3] of the size the network sees, `masks` uint8
                [M, H, W], `labels` int64 [M], `mask_counts` int64 [B], `seeds` int64 [B],
                `class_embeddings` float32 [S, D] and `synonym_counts` int64 [K].
        """
        features: List[Tensor] = self.image_tower(self.preprocess.normalise(batch["images"]))
        decoded: List[Tensor] = self.pixel_decoder(features)
        mask_features = decoded[0]
        class_logits: List[Tensor] = []
        mask_logits: List[Tensor] = []
        for normed in self.transformer_decoder.decode(mask_features, decoded[1:4]):
            masks = self.transformer_decoder.full_mask_logits(normed, mask_features)
            regions = self.region_embedder(normed, mask_features, masks)
            known = self.in_vocabulary_classifier(regions, batch["class_embeddings"])
            void = self.in_vocabulary_classifier(regions, self.void_embedding())
            best = synonym_maximum(known, batch["synonym_counts"])
            class_logits.append(torch.cat((best, void), dim=2))
            mask_logits.append(masks)
        return self.objective(class_logits, mask_logits, read_segments(batch))


def build_trainable(data: Mapping[str, Any]) -> TrainableFcClip:
    """Composes the method with its objective from a config file."""
    objective = parse(MaskClassificationConfig, data.get("objective"), "objective")
    return TrainableFcClip(MaskClassification(objective), **build_parts(parse_config(data))).eval()


def batch_kind(data: Mapping[str, Any]) -> str:
    """What `losses` takes."""
    return "panoptic"


def groups(module: TrainableFcClip) -> List[Dict[str, Any]]:
    """Parameter groups for the manifest."""
    return parameter_groups(module, PARTS, _exempt)


def _exempt(module: nn.Module, name: str, parameter: Tensor) -> bool:
    """Norms and embeddings; the published void is one of them."""
    return isinstance(module, VoidEmbedding) or norms_and_embeddings(module, name, parameter)
