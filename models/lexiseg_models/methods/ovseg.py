"""OVSeg (arXiv 2210.04150): MaskFormer proposes, a CLIP that knows masked crops classifies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.configuration import ConfigError, parse, section
from lexiseg_models.methods.backbone import BackboneConfig, build_backbone, parse_tower
from lexiseg_models.parts.classifier import VoidEmbedding, synonym_maximum
from lexiseg_models.parts.ensemble import EnsembleConfig
from lexiseg_models.parts.prediction import Proposals
from lexiseg_models.parts.preprocess import ImageConfig, Preprocess
from lexiseg_models.parts.proposal_ensemble import ProposalEnsemble
from lexiseg_models.parts.pyramid_decoder import PyramidDecoder, PyramidDecoderConfig
from lexiseg_models.parts.query_decoder import QueryDecoder, QueryDecoderConfig
from lexiseg_models.parts.region_crops import MaskPrompts, RegionConfig, RegionCrops
from lexiseg_models.parts.text_encoder import TextEncoder, TextEncoderConfig
from lexiseg_models.parts.vision_transformer import VisionTransformer, VisionTransformerConfig

ProposalTuple = Tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

METHODS = ("encode_text", "encode_image", "propose_masks", "classify_masks")
STAGES = ()
TASKS = ("semantic",)
PROPOSALS = Proposals._fields
_SECTIONS = (
    "clip",
    "backbone",
    "pixel_decoder",
    "transformer_decoder",
    "image",
    "regions",
    "ensemble",
    "objective",
    "thresholds",
    "prompt_templates",
    "training_vocabulary",
)
_CLIP_KEYS = ("model", "pretrained", "licence", "embedding_dim", "image_tower", "text_encoder")


@dataclass(frozen=True)
class OvsegConfig:
    """Everything that fixes the network; see the files in configs/ovseg."""

    embedding_dim: int
    image_tower: VisionTransformerConfig
    text_encoder: TextEncoderConfig
    backbone: BackboneConfig
    pixel_decoder: PyramidDecoderConfig
    transformer_decoder: QueryDecoderConfig
    image: ImageConfig
    regions: RegionConfig
    ensemble: EnsembleConfig


class Ovseg(nn.Module):
    """Masks with embeddings of their own, and CLIP's embedding of what each mask cuts out."""

    def __init__(
        self,
        *,
        preprocess: Preprocess,
        backbone: nn.Module,
        decoders: Tuple[PyramidDecoder, QueryDecoder],
        regions: Tuple[RegionCrops, MaskPrompts, int],
        image_tower: VisionTransformer,
        text_encoder: TextEncoder,
        void_embedding: VoidEmbedding,
        ensemble: ProposalEnsemble,
    ) -> None:
        """Composes parts that `build` made; `regions` ends with how many are embedded at once."""
        super().__init__()
        self.preprocess = preprocess
        self.backbone = backbone
        self.pixel_decoder, self.transformer_decoder = decoders
        self.region_crops, self.mask_prompts, self.chunk = regions
        self.image_tower = image_tower
        self.text_encoder = text_encoder
        self.void_embedding = void_embedding
        self.ensemble = ensemble

    @torch.jit.export
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """Prompts, int64 [N, L], to text embeddings, float32 [N, D], unit norm."""
        return self.text_encoder(token_ids)

    @torch.jit.export
    def encode_image(self, image: Tensor) -> Tensor:
        """CLIP's embeddings of images or of masked crops.

        Args:
            image: uint8 [B, H, W, 3], RGB; pixels of the colour (124, 116, 103) are blank, as in
                the crops that mining cuts out.

        Returns:
            float32 [B, D], unit norm.
        """
        pixels, shown = self.region_crops.masked(image)
        seen = self.region_crops.seen_patches(shown)
        return self.image_tower.embed_regions(pixels, seen, self.mask_prompts.tokens)

    def scaled_cosines(self, embeddings: Tensor, texts: Tensor) -> Tensor:
        """Logits [B, Q, S] of unit embeddings [B, Q, D] and texts [S, D].

        The published code has this constant in both classifiers, whatever scale CLIP stores.
        """
        if embeddings.requires_grad:
            # Autocast leaves float64 alone: a cosine times 100 needs more than 8 bits.
            cosines = embeddings.to(torch.float64) @ texts.to(torch.float64).t()
            return 100.0 * cosines.to(torch.float32)
        return 100.0 * (embeddings @ texts.t())

    def own_logits(self, own: Tensor, class_embeddings: Tensor) -> Tuple[Tensor, Tensor]:
        """Logits of the proposals' own embeddings: [B, Q, S] of the names, [B, Q, 1] of void."""
        return (
            self.scaled_cosines(own, class_embeddings),
            self.scaled_cosines(own, self.void_embedding()),
        )

    def embed_crops(self, crops: List[Tensor]) -> Tensor:
        """Unit embeddings [N, D] of crops, [4, side, side] each."""
        stacked = torch.stack(crops)
        seen = self.region_crops.seen_patches(stacked[:, 3:])
        return self.image_tower.embed_regions(stacked[:, :3], seen, self.mask_prompts.tokens)

    def embed_proposals(
        self, image: Tensor, mask_logits: Tensor, padded: List[int]
    ) -> Tuple[Tensor, Tensor]:
        """CLIP's embeddings of one image's proposals.

        One mask at a time is brought to the size of the image and a few regions at a time go
        through CLIP, so that memory does not grow with the number of proposals.

        Args:
            image: uint8 [H, W, 3], resized as the network saw it, without padding.
            mask_logits: float32 [Q, h, w] over the padded network input.
            padded: height and width of that input.

        Returns:
            float32 [Q, D], unit norm, zero where no pixel is inside; and bool [Q], any is.
        """
        pixels = self.region_crops.normalise(image)
        queries = mask_logits.shape[0]
        valid = torch.zeros([queries], dtype=torch.bool, device=image.device)
        width = self.image_tower.projection.shape[1]
        embeddings = torch.zeros([queries, width], dtype=torch.float32, device=image.device)
        owners: List[int] = []
        crops: List[Tensor] = []
        for query in range(queries):
            inside = self.region_crops.inside(
                mask_logits[query], padded, pixels.shape[1], pixels.shape[2]
            )
            if bool(inside.any().item()):
                valid[query] = True
                owners.append(query)
                crops.append(self.region_crops.crop(pixels, inside))
            if len(crops) > 0 and (len(crops) == self.chunk or query == queries - 1):
                index = torch.tensor(owners, dtype=torch.int64, device=image.device)
                embeddings = embeddings.index_copy(0, index, self.embed_crops(crops))
                owners.clear()
                crops.clear()
        return embeddings, valid

    @torch.jit.export
    def propose_masks(self, image: Tensor) -> ProposalTuple:
        """Proposals (see `Proposals`) for uint8 images [B, H, W, 3], RGB."""
        resized = self.preprocess.resize(image)
        network_input = self.preprocess.normalise(resized)
        features: List[Tensor] = self.backbone(network_input)
        mask_features = self.pixel_decoder(features)
        normed = self.transformer_decoder.decode(features[3])[-1]
        mask_logits = self.transformer_decoder.mask_logits(normed, mask_features)
        own = self.transformer_decoder.class_embeddings(normed).to(torch.float32)
        padded = [network_input.shape[2], network_input.shape[3]]
        regions: List[Tensor] = []
        valid: List[Tensor] = []
        for b in range(image.shape[0]):
            embeddings, found = self.embed_proposals(resized[b], mask_logits[b], padded)
            regions.append(embeddings)
            valid.append(found)
        return Proposals(
            mask_logits,
            F.normalize(own, dim=2),
            torch.stack(regions),
            torch.stack(valid),
            torch.tensor(padded, dtype=torch.int64),
            torch.tensor([resized.shape[1], resized.shape[2]], dtype=torch.int64),
            normed.to(torch.float32),
        )

    @torch.jit.export
    def classify_masks(
        self,
        proposals: ProposalTuple,
        class_embeddings: Tensor,
        synonym_counts: Tensor,
        seen: Tensor,
    ) -> Tensor:
        """Class log-probabilities of proposals.

        The proposals' own classifier has void among its classes, CLIP's has not.

        Args:
            proposals: what `propose_masks` returned.
            class_embeddings: float32 [S, D], unit norm, no void row.
            synonym_counts: int64 [K], summing to S.
            seen: bool [K], the class shares a name with the training vocabulary.

        Returns:
            float32 [B, Q, K + 1], void last.
        """
        own, regions, valid = proposals[1], proposals[2], proposals[3]
        known, void = self.own_logits(own, class_embeddings)
        in_logits = torch.cat((synonym_maximum(known, synonym_counts), void), dim=2)
        out_logits = synonym_maximum(self.scaled_cosines(regions, class_embeddings), synonym_counts)
        return self.ensemble(in_logits, out_logits, seen, valid)


def keep_float32(config: OvsegConfig) -> Tuple[str, ...]:
    """Names of modules whose weights stay float32 when the rest is cast to bfloat16.

    The query stream is short and its signs decide which pixels a mask holds.
    """
    return ("transformer_decoder", "void_embedding")


def parse_config(data: Mapping[str, Any]) -> OvsegConfig:
    """Reads the network's part of a config file; the exporter reads the rest."""
    section(data, "", _SECTIONS)
    clip = section(data, "clip", _CLIP_KEYS)
    width = clip["embedding_dim"]
    if type(width) is not int or width < 1:
        raise ConfigError(f"Expected a positive int for clip.embedding_dim but received {width!r}")
    decoder = parse(QueryDecoderConfig, data.get("transformer_decoder"), "transformer_decoder")
    pixel_decoder = parse(PyramidDecoderConfig, data.get("pixel_decoder"), "pixel_decoder")
    if pixel_decoder.width != decoder.width:
        raise ConfigError("pixel_decoder.width and transformer_decoder.width differ")
    if decoder.width % decoder.heads != 0:
        raise ConfigError(f"Expected transformer_decoder.width to be a multiple of {decoder.heads}")
    regions = parse(RegionConfig, data.get("regions"), "regions")
    if not 0.0 < regions.threshold < 1.0:
        raise ConfigError("Expected a number between 0 and 1 for regions.threshold")
    return OvsegConfig(
        embedding_dim=width,
        image_tower=parse_tower(
            clip.get("image_tower"), "clip.image_tower", ("vision-transformer",)
        ),
        text_encoder=parse(TextEncoderConfig, clip.get("text_encoder"), "clip.text_encoder"),
        backbone=parse_tower(data.get("backbone"), "backbone", ("swin", "resnet")),
        pixel_decoder=pixel_decoder,
        transformer_decoder=decoder,
        image=parse(ImageConfig, data.get("image"), "image"),
        regions=regions,
        ensemble=parse(EnsembleConfig, data.get("ensemble"), "ensemble"),
    )


def build_parts(config: OvsegConfig) -> Dict[str, Any]:
    """The parts of the method with fresh weights, by the names of its constructor."""
    backbone, widths = build_backbone(config.backbone)
    tower, width = config.image_tower, config.embedding_dim
    crops = RegionCrops(config.regions, patch=tower.patch, grid=tower.grid)
    prompts = MaskPrompts(depth=config.regions.prompt_depth, cells=tower.grid**2, width=tower.width)
    return {
        "preprocess": Preprocess(config.image),
        "backbone": backbone,
        "decoders": (
            PyramidDecoder(config.pixel_decoder, in_widths=widths),
            QueryDecoder(config.transformer_decoder, in_width=widths[3], embedding_dim=width),
        ),
        "regions": (crops, prompts, config.regions.chunk),
        "image_tower": VisionTransformer(tower, embedding_dim=width),
        "text_encoder": TextEncoder(config.text_encoder, embedding_dim=width),
        "void_embedding": VoidEmbedding(embedding_dim=width),
        "ensemble": ProposalEnsemble(config.ensemble),
    }


def build(config: OvsegConfig) -> Ovseg:
    """Composes the method with fresh weights, in eval mode."""
    return Ovseg(**build_parts(config)).eval()
