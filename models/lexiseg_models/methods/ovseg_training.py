"""OVSeg with its training losses: of the proposals, or of CLIP on masked crops (sec. 3.3, 3.4)."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence, Tuple, Union

import torch
from torch import Tensor, nn

from lexiseg_models.configuration import ConfigError, parse
from lexiseg_models.methods.ovseg import Ovseg, OvsegRegions, build_parts, parse_config
from lexiseg_models.objectives.contrastive import Contrastive
from lexiseg_models.objectives.full_mask_classification import (
    FullMaskClassification,
    FullMaskConfig,
)
from lexiseg_models.objectives.mask_classification import read_segments
from lexiseg_models.objectives.parameter_groups import (
    LOG_SCALE_BOUNDS,
    Part,
    gains_and_biases,
    norms_and_embeddings,
    parameter_groups,
)
from lexiseg_models.parts.classifier import CosineClassifier, synonym_maximum
from lexiseg_models.parts.region_crops import MaskPrompts
from lexiseg_models.parts.resnet import ResNet

_DECODER_PARTS = ("pixel_decoder", "transformer_decoder", "void_embedding")


def _backbone_parts(module: nn.Module) -> Tuple[Part, ...]:
    """A ResNet learns slower than what stands on it, and its norms not at all (spec sec. 5)."""
    if not isinstance(getattr(module, "backbone", None), ResNet):
        return (Part("backbone", ("backbone",), False, 1.0),)
    norms, others = (
        [
            path
            for path, child in module.named_modules()
            if path.startswith("backbone.") and isinstance(child, kind)
        ]
        for kind in (nn.BatchNorm2d, nn.Conv2d)
    )
    return (Part("backbone", others, False, 0.1), Part("backbone_norms", norms, True, 0.1))


def _parts(module: nn.Module) -> Tuple[Part, ...]:
    """Which groups train for proposals or for regions."""
    regions = isinstance(module, TrainableRegions)
    groups = [
        *_backbone_parts(module),
        Part("decoder", _DECODER_PARTS, regions, 1.0),
        Part("image_tower", ("image_tower",), not regions, 1.0),
        Part("mask_prompts", ("mask_prompts",), not regions, 1.0),
        Part("text_encoder", ("text_encoder",), True, 1.0),
    ]
    if regions:
        groups.append(Part("logit_scale", ("classifier",), False, 1.0, LOG_SCALE_BOUNDS))
    return tuple(groups)


class TrainableProposals(Ovseg):
    """Trains what proposes masks; CLIP stays as it is (spec sec. 4.4)."""

    def __init__(self, objective: FullMaskClassification, **parts: Any) -> None:
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
        network_input = self.preprocess.normalise(batch["images"])
        features: List[Tensor] = self.backbone(network_input, batch["seeds"])
        mask_features = self.pixel_decoder(features)
        class_logits: List[Tensor] = []
        mask_logits: List[Tensor] = []
        for normed in self.transformer_decoder.decode(features[3], batch["seeds"]):
            own = self.transformer_decoder.class_embeddings(normed).to(torch.float32)
            own = torch.nn.functional.normalize(own, dim=2)
            known, void = self.own_logits(own, batch["class_embeddings"])
            best = synonym_maximum(known, batch["synonym_counts"])
            class_logits.append(torch.cat((best, void), dim=2))
            mask_logits.append(self.transformer_decoder.mask_logits(normed, mask_features))
        return self.objective(class_logits, mask_logits, read_segments(batch))


class TrainableRegions(OvsegRegions):
    """Adapts CLIP to masked crops: the whole image tower, the mask prompts, or both (sec. 3.3).

    Attributes:
        learns_prompts: mask prompts may be random at first.
    """

    learns_prompts = True

    def __init__(self, **parts: Any) -> None:
        """`parts` are those of the method."""
        super().__init__(**parts)
        self.crop_side: int = self.region_crops.side
        self.classifier = CosineClassifier(scale=100.0)
        self.objective = Contrastive()

    @torch.jit.export
    def losses(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Weighted losses by name; their sum is what training makes small.

        Args:
            batch: `images` uint8 [B, S, S, 3], masked crops as `encode_image` takes them, of the
                size that CLIP sees; `token_ids` int64 [B, L] of the name of each.
        """
        image = self.encode_image(batch["images"])
        text = self.text_encoder(batch["token_ids"])
        return self.objective(image, text, self.classifier.scale())


Trainable = Union[TrainableProposals, TrainableRegions]


def _objective(data: Mapping[str, Any]) -> Tuple[str, Dict[str, Any]]:
    section = data.get("objective")
    if not isinstance(section, Mapping) or section.get("kind") not in ("proposals", "regions"):
        raise ConfigError("Expected proposals or regions for objective.kind")
    rest = {key: value for key, value in section.items() if key != "kind"}
    return str(section["kind"]), rest


def batch_kind(data: Mapping[str, Any]) -> str:
    """What `losses` takes."""
    return "panoptic" if _objective(data)[0] == "proposals" else "image-text"


def build_trainable(data: Mapping[str, Any]) -> Trainable:
    """Composes the method with the objective that the config file names."""
    kind, weights = _objective(data)
    config = parse_config(data)
    if (kind == "regions") != (config.proposer is None):
        raise ConfigError(
            "Expected null for backbone, pixel_decoder and transformer_decoder where "
            "objective.kind is regions, and only there"
        )
    parts = build_parts(config)
    module: Trainable
    if kind == "proposals":
        objective = parse(FullMaskConfig, weights, "objective")
        module = TrainableProposals(FullMaskClassification(objective), **parts)
    else:
        module = TrainableRegions(**parts)
    return module.eval()


def groups(module: nn.Module) -> List[Dict[str, Any]]:
    """Parameter groups for the manifest."""
    regions = isinstance(module, TrainableRegions)
    exempt = _regions_exempt if regions else _proposals_exempt
    return parameter_groups(module, _present(module, _parts(module)), exempt)


def _proposals_exempt(module: nn.Module, name: str, parameter: Tensor) -> bool:
    """Beside norms and embeddings the biases of places in a window, which are looked up as well."""
    return name == "bias_table" or norms_and_embeddings(module, name, parameter)


def _regions_exempt(module: nn.Module, name: str, parameter: Tensor) -> bool:
    """CLIP's recipe, and the prompts (spec sec. 4.3)."""
    return isinstance(module, MaskPrompts) or gains_and_biases(module, name, parameter)


def _present(module: nn.Module, parts: Sequence[Part]) -> List[Part]:
    """The parts that have parameters: a network without mask prompts has no group of them."""
    names = [name for name, _ in module.named_parameters()]
    return [
        part
        for part in parts
        if any(name.startswith(prefix + ".") for name in names for prefix in part.modules)
    ]
