"""GKC with its training losses (arXiv 2303.09181, sec. 3): synonyms, and a teacher that is CLIP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.configuration import ConfigError, parse
from lexiseg_models.methods.backbone import build_backbone
from lexiseg_models.methods.gkc import Gkc, GkcConfig, build_parts, parse_config
from lexiseg_models.objectives.caption_grounding import CaptionGrounding, CaptionGroundingConfig
from lexiseg_models.objectives.guided_distillation import distillation_by_image
from lexiseg_models.objectives.mask_classification import (
    MaskClassification,
    MaskClassificationConfig,
    read_segments,
    segment_seeds,
)
from lexiseg_models.objectives.parameter_groups import (
    LOG_SCALE_BOUNDS,
    Part,
    norms_and_embeddings,
    parameter_groups,
)
from lexiseg_models.objectives.region_teacher import RegionTeacher
from lexiseg_models.objectives.text_diversification import (
    SynonymDraw,
    diversified_loss,
    diversified_texts,
    first_names,
)
from lexiseg_models.parts.clip_resnet import AttentionRegionHead
from lexiseg_models.parts.convnext import ConvNextConfig, PooledRegionHead
from lexiseg_models.parts.linear import Linear
from lexiseg_models.parts.preprocess import ImageConfig, Preprocess
from lexiseg_models.uniform_points import mix_seeds, uniform_points

_DECODER = (
    "pixel_decoder",
    "transformer_decoder",
    "class_head",
    "void_embedding",
    "auxiliary_projections",
    "distillation",
)
PARTS = (
    Part("image_tower", ("image_tower",), frozen=False, learning_rate_multiplier=0.1),
    Part("text_encoder", ("text_encoder",), frozen=True, learning_rate_multiplier=0.1),
    Part("teacher", ("teacher_tower", "region_head"), frozen=True, learning_rate_multiplier=0.1),
    Part("decoder", _DECODER, frozen=False, learning_rate_multiplier=1.0),
    Part("logit_scale", ("classifier",), False, 1.0, LOG_SCALE_BOUNDS),
)


@dataclass(frozen=True)
class CalibrationConfig:
    """What is added to the loss of masks and classes.

    Attributes:
        synonym_weight: of the cross entropy with drawn synonyms; 0 draws none.
        distillation_weight: of the text-guided distillation; 0 asks no teacher for it.
        student: what is to be like the teacher: "prior", through a projection that only training
            has (the paper's best), or "embedding", what is compared with texts itself.
        distance_names: whose distances the teacher's are set right by: "plain" names of classes, or
            the synonyms "drawn".
        teacher_sees: the whole "image", or "crops" of each segment's box, dearer by far.
        synonym_scale: of the cosines whose softmax is the shares of synonyms; 100 is CLIP's.
        synonym_draw: by "share" (the paper), or "even" among those that pass (the authors' code,
            with a floor of 0.1).
        synonym_floor: a synonym whose share is smaller is never drawn, 0..1.
        region_dropout: share of the matched regions left out of the synonyms' loss, 0..1.
        mean: of the teacher's input, per RGB channel on the 0-255 scale.
        std: likewise.
    """

    synonym_weight: float
    distillation_weight: float
    student: Literal["prior", "embedding"]
    distance_names: Literal["plain", "drawn"]
    teacher_sees: Literal["image", "crops"]
    synonym_scale: float
    synonym_draw: Literal["share", "even"]
    synonym_floor: float
    region_dropout: float
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]


class TrainableGkc(RegionTeacher, Gkc):
    """The method with `losses` beside what it does at inference."""

    def __init__(
        self,
        objectives: Tuple[MaskClassification, CaptionGrounding],
        calibration: CalibrationConfig,
        teacher: Tuple[Preprocess, nn.Module, nn.Module],
        training_heads: Tuple[nn.ModuleList, nn.ModuleList],
        **parts: Any,
    ) -> None:
        """`teacher` is preprocessing, tower and region head; `parts` are those of the method.

        `training_heads` are projections of the priors: into the space of texts for every prediction
        but the final one, and into that of the teacher for every one.
        """
        crops = calibration.teacher_sees == "crops"
        super().__init__(teacher=teacher, crops=crops, **parts)
        self.objective, self.grounding = objectives
        self.synonym_weight: float = calibration.synonym_weight
        self.distillation_weight: float = calibration.distillation_weight
        self.student: str = calibration.student
        self.distance_names: str = calibration.distance_names
        self.synonym_draw = SynonymDraw(
            scale=calibration.synonym_scale,
            floor=calibration.synonym_floor,
            even=calibration.synonym_draw == "even",
        )
        self.region_dropout: float = calibration.region_dropout
        self.auxiliary_projections, self.distillation = training_heads

    def embeddings(self, normed: List[Tensor]) -> Tuple[List[Tensor], List[Tensor]]:
        """Priors and text-space embeddings of every prediction, the final one last."""
        priors: List[Tensor] = []
        for queries in normed:
            priors.append(self.class_head.prior(queries))
        embedded: List[Tensor] = []
        for i, projection in enumerate(self.auxiliary_projections):
            embedded.append(F.normalize(projection(F.relu(priors[i])).to(torch.float32), dim=2))
        embedded.append(self.class_head.embed(priors[-1]))
        return priors, embedded

    @torch.jit.export
    def losses(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Weighted losses by name; their sum is what training makes small.

        Args:
            batch: `images` uint8 [B, H, W, 3] of the size the network sees, `masks` uint8
                [M, H, W], `labels` int64 [M], `mask_counts` int64 [B], `seeds` int64 [B],
                `class_embeddings` float32 [S, D], of each class its name first and then synonyms,
                and `synonym_counts` int64 [K]; perhaps `word_ids` int64 [T, L] and `word_counts`
                int64 [B], the words of each image's caption.
        """
        segments = read_segments(batch)
        names = first_names(batch["class_embeddings"], batch["synonym_counts"])
        each = torch.ones_like(batch["synonym_counts"])
        features: List[Tensor] = self.image_tower(self.preprocess.normalise(batch["images"]))
        decoded: List[Tensor] = self.pixel_decoder(features)
        normed = self.transformer_decoder.decode(decoded[0], decoded[1:4])
        priors, embedded = self.embeddings(normed)
        class_logits: List[Tensor] = []
        mask_logits: List[Tensor] = []
        for queries, embedding in zip(normed, embedded):
            class_logits.append(self.class_logits(embedding, names, each))
            mask_logits.append(self.transformer_decoder.full_mask_logits(queries, decoded[0]))
        losses: Dict[str, Tensor] = self.objective(class_logits, mask_logits, segments)
        if self.grounding.weight > 0.0:
            regions = self.grounding.choose(embedded[-1], class_logits[-1][:, :, -1])
            # There also without words: all ranks add up the same losses.
            losses["grounding"] = regions.sum() * 0.0
            if "word_ids" in batch:
                words = self.text_encoder(batch["word_ids"]).detach()
                counts, scale = batch["word_counts"], self.classifier.scale()
                losses["grounding"] = self.grounding(regions, words, counts, scale)
        if self.synonym_weight == 0.0 and self.distillation_weight == 0.0:
            return losses
        teachers = self.teacher_regions(batch["images"], segments, names.shape[1])
        seeds = segment_seeds(segments)
        table, names_each = batch["class_embeddings"], batch["synonym_counts"]
        drawn = self.synonym_draw(teachers, segments.labels, table, names_each, seeds)
        diversified = diversified_texts(segments.labels, drawn, segments.counts, names_each)
        texts = [table.index_select(0, rows) for rows in diversified.rows]
        students: List[Tensor] = []
        if self.distillation_weight > 0.0:
            students = self.students(priors, embedded)
        own_names = names.index_select(0, segments.labels)
        if self.distance_names == "drawn":
            own_names = table.index_select(0, drawn)
        synonym = torch.zeros([], device=names.device)
        distilled = torch.zeros([], device=names.device)
        for layer in range(len(normed)):
            query, segment = self.objective.match(
                class_logits[layer], mask_logits[layer], segments, layer
            )
            if self.synonym_weight > 0.0:
                chance = uniform_points(mix_seeds(seeds.index_select(0, segment), layer), 1)
                kept = chance[:, 0, 0] >= self.region_dropout
                synonym = synonym + self.synonym_loss(
                    embedded[layer], texts, query, diversified.slots.index_select(0, segment), kept
                )
            if self.distillation_weight > 0.0:
                student = students[layer].flatten(0, 1).index_select(0, query)
                student = F.normalize(student.to(torch.float32), dim=1)
                distilled = distilled + distillation_by_image(
                    student, teachers, own_names, segment, segments.counts
                )
        losses["synonym"] = self.synonym_weight * synonym
        losses["distillation"] = self.distillation_weight * distilled
        return losses

    def students(self, priors: List[Tensor], embedded: List[Tensor]) -> List[Tensor]:
        """What of every prediction is to be like the teacher's embeddings."""
        if self.student == "embedding":
            return embedded
        students: List[Tensor] = []
        for i, projection in enumerate(self.distillation):
            students.append(projection(priors[i]))
        return students

    def synonym_loss(
        self, embeddings: Tensor, texts: List[Tensor], query: Tensor, slots: Tensor, kept: Tensor
    ) -> Tensor:
        """Weighted mean cross entropy over all queries, where each image has texts of its own.

        Args:
            embeddings: of one prediction, [B, Q, D], unit norm.
            texts: [K + E, D] of each image, unit norm.
            query: int64 [N], matched queries, as `match` gives them.
            slots: int64 [N], rows of their image's texts.
            kept: bool [N]; matched queries that are not teach nothing.
        """
        void = self.void_embedding()
        logits: List[Tensor] = []
        for image, rows in enumerate(texts):
            own = embeddings[image : image + 1]
            logits.append(self.classifier(own, torch.cat((rows, void)))[0])
        return diversified_loss(logits, query, slots, kept, self.objective.void_weight)


def _objective(
    data: Mapping[str, Any],
) -> Tuple[MaskClassificationConfig, CaptionGroundingConfig, CalibrationConfig]:
    section = data.get("objective")
    if not isinstance(section, Mapping):
        raise ConfigError("Expected an object for objective")
    rest = dict(section)
    grounding = parse(CaptionGroundingConfig, rest.pop("grounding", None), "objective.grounding")
    calibration = parse(CalibrationConfig, rest.pop("calibration", None), "objective.calibration")
    if calibration.synonym_scale <= 0.0:
        raise ConfigError("Expected a number above 0 for objective.calibration.synonym_scale")
    for name in ("synonym_floor", "region_dropout"):
        if not 0.0 <= getattr(calibration, name) < 1.0:
            raise ConfigError(f"Expected 0 to below 1 for objective.calibration.{name}")
    return parse(MaskClassificationConfig, rest, "objective"), grounding, calibration


def _teacher(
    config: GkcConfig, calibration: CalibrationConfig
) -> Tuple[Preprocess, nn.Module, nn.Module]:
    """A CLIP of the student's own shape, with its region head."""
    image = ImageConfig(
        shortest_edge=config.image.shortest_edge,
        longest_edge=config.image.longest_edge,
        mean=calibration.mean,
        std=calibration.std,
        divisor=config.image.divisor,
    )
    tower, _ = build_backbone(config.image_tower)
    dim = config.embedding_dim
    head: nn.Module = (
        PooledRegionHead(config.image_tower, embedding_dim=dim)
        if isinstance(config.image_tower, ConvNextConfig)
        else AttentionRegionHead(config.image_tower, embedding_dim=dim)
    )
    return Preprocess(image), tower, head


def build_trainable(data: Mapping[str, Any]) -> TrainableGkc:
    """Composes the method with its objectives from a config file."""
    config = parse_config(data)
    masks, grounding, calibration = _objective(data)
    prior, dim = config.class_head.prior_width, config.embedding_dim
    layers = config.transformer_decoder.layers
    auxiliary = nn.ModuleList(Linear(prior, dim) for _ in range(layers))
    distillation = nn.ModuleList(Linear(prior, dim) for _ in range(layers + 1))
    module = TrainableGkc(
        (MaskClassification(masks), CaptionGrounding(grounding)),
        calibration,
        _teacher(config, calibration),
        (auxiliary, distillation),
        **build_parts(config),
    )
    return module.eval()


def batch_kind(data: Mapping[str, Any]) -> str:
    """What `losses` takes."""
    return "panoptic"


def groups(module: TrainableGkc) -> List[Dict[str, Any]]:
    """Parameter groups for the manifest."""
    return parameter_groups(module, PARTS, norms_and_embeddings)
