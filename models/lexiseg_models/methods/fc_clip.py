"""FC-CLIP (arXiv 2308.02487): one frozen convolutional CLIP proposes and classifies masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Literal, Mapping, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.configuration import ConfigError, parse, section
from lexiseg_models.methods.backbone import build_backbone
from lexiseg_models.methods.clip_section import parse_clip
from lexiseg_models.methods.mask_decoders import parse_decoders
from lexiseg_models.methods.staged import StagedNetwork
from lexiseg_models.parts.classifier import (
    CosineClassifier,
    RegionEmbedder,
    VoidEmbedding,
    synonym_maximum,
)
from lexiseg_models.parts.clip_resnet import AttentionRegionHead, ClipResNetConfig
from lexiseg_models.parts.convnext import ConvNextConfig, PooledRegionHead
from lexiseg_models.parts.ensemble import EnsembleConfig, GeometricEnsemble
from lexiseg_models.parts.pixel_decoder import PixelDecoder, PixelDecoderConfig
from lexiseg_models.parts.prediction import Proposals
from lexiseg_models.parts.preprocess import ImageConfig, Preprocess
from lexiseg_models.parts.text_encoder import TextEncoder, TextEncoderConfig
from lexiseg_models.parts.transformer_decoder import TransformerDecoder, TransformerDecoderConfig

ImageTowerConfig = Union[ConvNextConfig, ClipResNetConfig]
# About the standard deviation of an untrained mask logit: masks start at a sixth of the image.
_MASK_PRIOR = 5.0
ProposalTuple = Tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class PoolingConfig:
    """How CLIP's features are averaged under a mask.

    Attributes:
        masks: "resized": logits are resized to the stride of CLIP and cells with a positive one
            count, as published. "fine": a cell counts by the share of it that the mask covers, so
            that things of a cell or two are not taken for what is beside them; for ConvNeXt only.
    """

    masks: Literal["resized", "fine"]


@dataclass(frozen=True)
class FcClipConfig:
    """Everything that fixes the network; see the files in configs/fc-clip."""

    embedding_dim: int
    image_tower: ImageTowerConfig
    text_encoder: TextEncoderConfig
    pixel_decoder: PixelDecoderConfig
    transformer_decoder: TransformerDecoderConfig
    pooling: PoolingConfig
    image: ImageConfig
    ensemble: EnsembleConfig


class FcClip(StagedNetwork):
    """Proposes class-agnostic masks and classifies them against any vocabulary.

    The four stages are chained: each takes what the one before it returned. `propose_masks` runs
    them all.
    """

    def __init__(
        self,
        *,
        preprocess: Preprocess,
        image_tower: nn.Module,
        region_head: nn.Module,
        text_encoder: TextEncoder,
        decoders: Tuple[PixelDecoder, TransformerDecoder, RegionEmbedder],
        classifiers: Tuple[CosineClassifier, CosineClassifier, VoidEmbedding, GeometricEnsemble],
        pooling: PoolingConfig,
    ) -> None:
        """Composes parts that `build` made."""
        super().__init__(preprocess=preprocess, image_tower=image_tower, text_encoder=text_encoder)
        self.region_head = region_head
        self.resizes_masks: bool = pooling.masks == "resized"
        self.pixel_decoder, self.transformer_decoder, self.region_embedder = decoders
        (
            self.in_vocabulary_classifier,
            self.out_of_vocabulary_classifier,
            self.void_embedding,
            self.ensemble,
        ) = classifiers

    @torch.jit.export
    def stage_pixel_decoder(self, pyramid: List[Tensor]) -> List[Tensor]:
        """Gives [mask features, memory 1/32, 1/16, 1/8, res5, network size, valid size]."""
        decoded: List[Tensor] = self.pixel_decoder(pyramid[:4])
        return decoded + pyramid[3:]

    @torch.jit.export
    def stage_transformer_decoder(self, decoded: List[Tensor]) -> ProposalTuple:
        """Proposals (see `Proposals`) from what the pixel decoder stage gave."""
        mask_features, dense = decoded[0], decoded[4]
        normed, mask_logits = self.transformer_decoder(mask_features, decoded[1:4])
        in_vocabulary = self.region_embedder(normed, mask_features, mask_logits)
        masks = mask_logits
        if self.resizes_masks:
            # Logits are resized, then thresholded; the other order selects different pixels.
            masks = F.interpolate(
                mask_logits, size=dense.shape[2:], mode="bilinear", align_corners=False
            )
        regions = self.region_head(dense, masks).to(torch.float32)
        return Proposals(
            mask_logits,
            in_vocabulary,
            F.normalize(regions, dim=2),
            (masks > 0).flatten(2).any(dim=2),
            decoded[5],
            decoded[6],
            normed.to(torch.float32),
        )

    @torch.jit.export
    def propose_masks(self, image: Tensor) -> ProposalTuple:
        """Proposals (see `Proposals`) for uint8 images [B, H, W, 3], RGB."""
        pyramid = self.stage_backbone(self.stage_preprocess(image))
        return self.stage_transformer_decoder(self.stage_pixel_decoder(pyramid))

    @torch.jit.export
    def classify_masks(
        self,
        proposals: ProposalTuple,
        class_embeddings: Tensor,
        synonym_counts: Tensor,
        seen: Tensor,
    ) -> Tensor:
        """Class log-probabilities of proposals.

        Args:
            proposals: what `propose_masks` returned.
            class_embeddings: float32 [S, D], unit norm, no void row.
            synonym_counts: int64 [K], summing to S.
            seen: bool [K], the class shares a name with the training vocabulary.

        Returns:
            float32 [B, Q, K + 1], log(p + 1e-8), void last.
        """
        regions, dense_regions, mask_valid = proposals[1], proposals[2], proposals[3]
        known = self.in_vocabulary_classifier(regions, class_embeddings)
        void = self.in_vocabulary_classifier(regions, self.void_embedding())
        in_logits = torch.cat((synonym_maximum(known, synonym_counts), void), dim=2)
        out_logits = synonym_maximum(
            self.out_of_vocabulary_classifier(dense_regions, class_embeddings), synonym_counts
        )
        return self.ensemble(in_logits, out_logits, seen, mask_valid)


_SECTIONS = (
    "clip",
    "pixel_decoder",
    "transformer_decoder",
    "pooling",
    "image",
    "ensemble",
    "thresholds",
    "objective",
    "prompt_templates",
    "training_vocabulary",
)
_TOWERS = ("convnext", "clip-resnet")

METHODS = ("encode_text", "propose_masks", "classify_masks")
STAGES = ("stage_preprocess", "stage_backbone", "stage_pixel_decoder", "stage_transformer_decoder")
TASKS = ("semantic", "panoptic", "instance")
PROPOSALS = Proposals._fields


def keep_float32(config: FcClipConfig) -> Tuple[str, ...]:
    """Names of modules whose weights stay float32 when the rest is cast to bfloat16.

    The query stream is short but its signs decide which pixels a mask holds, so it keeps full
    precision; products over the memory run in the memory's dtype all the same. Logit scales and
    void decide class scores through an exponential. A pooled region head sees a few hundred rows;
    the attention head of a ResNet projects every pixel and follows the cast.
    """
    names = (
        "transformer_decoder",
        "region_embedder",
        "in_vocabulary_classifier",
        "out_of_vocabulary_classifier",
        "void_embedding",
    )
    return names + (("region_head",) if isinstance(config.image_tower, ConvNextConfig) else ())


def parse_config(data: Mapping[str, Any]) -> FcClipConfig:
    """Reads the network's part of a config file; the exporter reads the rest."""
    section(data, "", _SECTIONS)
    clip = parse_clip(data, _TOWERS)
    pixel_decoder, decoder = parse_decoders(data)
    pooling = parse(PoolingConfig, data.get("pooling"), "pooling")
    if pooling.masks == "fine" and not isinstance(clip.image_tower, ConvNextConfig):
        raise ConfigError('Expected "resized" for pooling.masks: a ResNet attends to whole cells')
    return FcClipConfig(
        embedding_dim=clip.embedding_dim,
        image_tower=clip.image_tower,
        text_encoder=clip.text_encoder,
        pixel_decoder=pixel_decoder,
        transformer_decoder=decoder,
        pooling=pooling,
        image=parse(ImageConfig, data.get("image"), "image"),
        ensemble=parse(EnsembleConfig, data.get("ensemble"), "ensemble"),
    )


def _build_region_head(config: FcClipConfig) -> nn.Module:
    tower, width = config.image_tower, config.embedding_dim
    if isinstance(tower, ConvNextConfig):
        return PooledRegionHead(tower, embedding_dim=width)
    return AttentionRegionHead(tower, embedding_dim=width)


def _start_with_small_masks(pixel: PixelDecoder, queries: TransformerDecoder) -> None:
    """Makes one channel of the mask product a constant below zero.

    Most pixels lie outside most masks; without this prior an untrained mask covers half the image
    and all regions look alike.
    """
    last = queries.mask_embedding.layers[-1]
    with torch.no_grad():
        pixel.mask_features.weight[0].zero_()
        pixel.mask_features.bias[0] = 1.0
        last.weight[0].zero_()
        last.bias[0] = -_MASK_PRIOR


def build_parts(config: FcClipConfig) -> Dict[str, Any]:
    """The parts of the method with fresh weights, by the names of its constructor."""
    image_tower, widths = build_backbone(config.image_tower)
    region_head = _build_region_head(config)
    width = config.transformer_decoder.width
    pixel_decoder = PixelDecoder(config.pixel_decoder, in_widths=widths)
    transformer_decoder = TransformerDecoder(config.transformer_decoder)
    _start_with_small_masks(pixel_decoder, transformer_decoder)
    return {
        "preprocess": Preprocess(config.image),
        "image_tower": image_tower,
        "region_head": region_head,
        "text_encoder": TextEncoder(config.text_encoder, embedding_dim=config.embedding_dim),
        "decoders": (
            pixel_decoder,
            transformer_decoder,
            RegionEmbedder(width=width, embedding_dim=config.embedding_dim),
        ),
        "classifiers": (
            CosineClassifier(scale=1.0 / 0.07),
            CosineClassifier(scale=100.0),
            VoidEmbedding(embedding_dim=config.embedding_dim),
            GeometricEnsemble(config.ensemble),
        ),
        "pooling": config.pooling,
    }


def build(config: FcClipConfig) -> FcClip:
    """Composes the method with fresh weights, in eval mode (the CLIP towers never train)."""
    return FcClip(**build_parts(config)).eval()
