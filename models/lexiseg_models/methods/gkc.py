"""GKC (arXiv 2303.09181): queries in the space of texts, no CLIP image encoder at inference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.configuration import parse, section
from lexiseg_models.methods.backbone import BackboneConfig, build_backbone
from lexiseg_models.methods.clip_section import parse_clip
from lexiseg_models.methods.mask_decoders import parse_decoders
from lexiseg_models.methods.staged import StagedNetwork
from lexiseg_models.parts.class_head import ClassHead, ClassHeadConfig
from lexiseg_models.parts.classifier import CosineClassifier, VoidEmbedding, synonym_maximum
from lexiseg_models.parts.pixel_decoder import PixelDecoder, PixelDecoderConfig
from lexiseg_models.parts.prediction import DirectProposals
from lexiseg_models.parts.preprocess import ImageConfig, Preprocess
from lexiseg_models.parts.text_encoder import TextEncoder, TextEncoderConfig
from lexiseg_models.parts.transformer_decoder import TransformerDecoder, TransformerDecoderConfig

ProposalTuple = Tuple[Tensor, Tensor, Tensor, Tensor, Tensor]

METHODS = ("encode_text", "propose_masks", "classify_masks")
STAGES = ("stage_preprocess", "stage_backbone", "stage_pixel_decoder", "stage_transformer_decoder")
TASKS = ("semantic", "panoptic", "instance")
PROPOSALS = DirectProposals._fields
_SECTIONS = (
    "clip",
    "pixel_decoder",
    "transformer_decoder",
    "class_head",
    "image",
    "thresholds",
    "objective",
    "prompt_templates",
    "training_vocabulary",
)
_TOWERS = ("convnext", "clip-resnet")


@dataclass(frozen=True)
class GkcConfig:
    """Everything that fixes the network; see the files in configs/gkc."""

    embedding_dim: int
    image_tower: BackboneConfig
    text_encoder: TextEncoderConfig
    pixel_decoder: PixelDecoderConfig
    transformer_decoder: TransformerDecoderConfig
    class_head: ClassHeadConfig
    image: ImageConfig


class Gkc(StagedNetwork):
    """Proposes masks whose embeddings are compared with texts as they are."""

    def __init__(
        self,
        *,
        preprocess: Preprocess,
        image_tower: nn.Module,
        text_encoder: TextEncoder,
        decoders: Tuple[PixelDecoder, TransformerDecoder, ClassHead],
        classifiers: Tuple[CosineClassifier, VoidEmbedding],
    ) -> None:
        """Composes parts that `build` made."""
        super().__init__(preprocess=preprocess, image_tower=image_tower, text_encoder=text_encoder)
        self.pixel_decoder, self.transformer_decoder, self.class_head = decoders
        self.classifier, self.void_embedding = classifiers

    @torch.jit.export
    def stage_pixel_decoder(self, pyramid: List[Tensor]) -> List[Tensor]:
        """Gives [mask features, memory 1/32, 1/16, 1/8, network size, valid size]."""
        decoded: List[Tensor] = self.pixel_decoder(pyramid[:4])
        return decoded + pyramid[4:]

    @torch.jit.export
    def stage_transformer_decoder(self, decoded: List[Tensor]) -> ProposalTuple:
        """Proposals (see `DirectProposals`) from what the pixel decoder stage gave."""
        normed, mask_logits = self.transformer_decoder(decoded[0], decoded[1:4])
        return DirectProposals(
            mask_logits, self.class_head(normed), decoded[4], decoded[5], normed.to(torch.float32)
        )

    @torch.jit.export
    def propose_masks(self, image: Tensor) -> ProposalTuple:
        """Proposals (see `DirectProposals`) for uint8 images [B, H, W, 3], RGB."""
        pyramid = self.stage_backbone(self.stage_preprocess(image))
        return self.stage_transformer_decoder(self.stage_pixel_decoder(pyramid))

    def class_logits(
        self, embeddings: Tensor, class_embeddings: Tensor, synonym_counts: Tensor
    ) -> Tensor:
        """Logits [B, Q, K + 1] of unit embeddings [B, Q, D], the maximum over names, void last."""
        known = self.classifier(embeddings, class_embeddings)
        void = self.classifier(embeddings, self.void_embedding())
        return torch.cat((synonym_maximum(known, synonym_counts), void), dim=2)

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
            seen: bool [K]; nothing depends on it.

        Returns:
            float32 [B, Q, K + 1], void last.
        """
        logits = self.class_logits(proposals[1], class_embeddings, synonym_counts)
        return F.log_softmax(logits, dim=2)


def keep_float32(config: GkcConfig) -> Tuple[str, ...]:
    """Names of modules whose weights stay float32 when the rest is cast to bfloat16.

    The query stream is short and its signs decide which pixels a mask holds. The last three stand
    beside the loss only.
    """
    own = ("transformer_decoder", "class_head", "classifier", "void_embedding")
    return (*own, "auxiliary_projections", "distillation", "region_head")


def parse_config(data: Mapping[str, Any]) -> GkcConfig:
    """Reads the network's part of a config file; the exporter reads the rest."""
    section(data, "", _SECTIONS)
    clip = parse_clip(data, _TOWERS)
    pixel_decoder, decoder = parse_decoders(data)
    return GkcConfig(
        embedding_dim=clip.embedding_dim,
        image_tower=clip.image_tower,
        text_encoder=clip.text_encoder,
        pixel_decoder=pixel_decoder,
        transformer_decoder=decoder,
        class_head=parse(ClassHeadConfig, data.get("class_head"), "class_head"),
        image=parse(ImageConfig, data.get("image"), "image"),
    )


def build_parts(config: GkcConfig) -> Dict[str, Any]:
    """The parts of the method with fresh weights, by the names of its constructor."""
    image_tower, widths = build_backbone(config.image_tower)
    width, dim = config.transformer_decoder.width, config.embedding_dim
    return {
        "preprocess": Preprocess(config.image),
        "image_tower": image_tower,
        "text_encoder": TextEncoder(config.text_encoder, embedding_dim=dim),
        "decoders": (
            PixelDecoder(config.pixel_decoder, in_widths=widths),
            TransformerDecoder(config.transformer_decoder),
            ClassHead(config.class_head, width=width, embedding_dim=dim),
        ),
        "classifiers": (CosineClassifier(scale=1.0 / 0.07), VoidEmbedding(embedding_dim=dim)),
    }


def build(config: GkcConfig) -> Gkc:
    """Composes the method with fresh weights, in eval mode."""
    return Gkc(**build_parts(config)).eval()
