"""OVSeg (arXiv 2210.04150): MaskFormer proposes, a CLIP that knows masked crops classifies."""

from __future__ import annotations

import math
from typing import Any, Dict, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.methods.backbone import build_backbone
from lexiseg_models.methods.ovseg_config import OvsegConfig
from lexiseg_models.methods.ovseg_config import parse_config as parse_config
from lexiseg_models.parts.classifier import VoidEmbedding, synonym_maximum
from lexiseg_models.parts.prediction import Proposals
from lexiseg_models.parts.preprocess import Preprocess
from lexiseg_models.parts.proposal_ensemble import ProposalEnsemble
from lexiseg_models.parts.pyramid_decoder import PyramidDecoder
from lexiseg_models.parts.query_decoder import QueryDecoder
from lexiseg_models.parts.region_crops import MaskPrompts, RegionCrops
from lexiseg_models.parts.text_encoder import TextEncoder
from lexiseg_models.parts.vision_transformer import VisionTransformer

ProposalTuple = Tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]

METHODS = ("encode_text", "encode_image", "propose_masks", "embed_masks", "classify_masks")
STAGES = ()
TASKS = ("semantic",)
PROPOSALS = Proposals._fields


class OvsegRegions(nn.Module):
    """CLIP's embedding of what each mask of another network cuts out."""

    def __init__(
        self,
        *,
        preprocess: Preprocess,
        regions: Tuple[RegionCrops, MaskPrompts, int],
        image_tower: VisionTransformer,
        text_encoder: TextEncoder,
        void_embedding: VoidEmbedding,
        ensemble: ProposalEnsemble,
    ) -> None:
        """Composes parts that `build` made; `regions` ends with how many are embedded at once."""
        super().__init__()
        self.preprocess = preprocess
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
    def embed_masks(
        self, image: Tensor, mask_logits: Tensor, network_size: Tensor, valid_size: Tensor
    ) -> ProposalTuple:
        """Proposals (see `Proposals`) whose masks another network made.

        They have no embedding of their own: zeros, under which all names and void are alike; nor
        queries: zeros as well.

        Args:
            image: uint8 [B, H, W, 3], RGB.
            mask_logits: float32 [B, Q, h, w] over the padded input of that network.
            network_size: int64 [2], height and width of that input.
            valid_size: int64 [2], height and width of the image within it, top-left.
        """
        resized = self.preprocess.resize(image)
        sizes: List[int] = network_size.tolist()
        valids: List[int] = valid_size.tolist()
        height, width = resized.shape[1], resized.shape[2]
        padded = [
            max(height, math.floor(sizes[0] * height / valids[0] + 0.5)),
            max(width, math.floor(sizes[1] * width / valids[1] + 0.5)),
        ]
        if padded[0] * padded[1] > 64 * height * width:
            raise ValueError("Expected masks that cover more than the padding of an image")
        logits = mask_logits.to(torch.float32)
        regions: List[Tensor] = []
        valid: List[Tensor] = []
        for b in range(image.shape[0]):
            embeddings, found = self.embed_proposals(resized[b], logits[b], padded)
            regions.append(embeddings)
            valid.append(found)
        stacked = torch.stack(regions)
        return Proposals(
            logits,
            torch.zeros_like(stacked),
            stacked,
            torch.stack(valid),
            network_size,
            valid_size,
            torch.zeros_like(stacked),
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


class Ovseg(OvsegRegions):
    """Masks with embeddings of their own, and CLIP's embedding of what each mask cuts out."""

    def __init__(
        self,
        *,
        backbone: nn.Module,
        decoders: Tuple[PyramidDecoder, QueryDecoder],
        **region_parts: Any,
    ) -> None:
        """Composes parts that `build` made; `region_parts` are those of the base."""
        super().__init__(**region_parts)
        self.backbone = backbone
        self.pixel_decoder, self.transformer_decoder = decoders

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


def keep_float32(config: OvsegConfig) -> Tuple[str, ...]:
    """Names of modules whose weights stay float32 when the rest is cast to bfloat16.

    The query stream is short and its signs decide which pixels a mask holds.
    """
    if config.proposer is None:
        return ("void_embedding",)
    return ("transformer_decoder", "void_embedding")


def methods(config: OvsegConfig) -> Tuple[str, ...]:
    """What the network of a config exports."""
    proposes = config.proposer is not None
    return tuple(name for name in METHODS if proposes or name != "propose_masks")


def build_parts(config: OvsegConfig) -> Dict[str, Any]:
    """The parts of the method with fresh weights, by the names of its constructor."""
    tower, width, proposer = config.image_tower, config.embedding_dim, config.proposer
    # In this order: what a seed gives must not change.
    backbone = None if proposer is None else build_backbone(proposer.backbone)
    crops = RegionCrops(config.regions, patch=tower.patch, grid=tower.grid)
    depth = config.regions.prompt_depth if config.regions.prompts else 0
    prompts = MaskPrompts(depth=depth, cells=tower.grid**2, width=tower.width)
    proposing: Dict[str, Any] = {}
    if proposer is not None and backbone is not None:
        network, widths = backbone
        decoder = proposer.transformer_decoder
        proposing["backbone"] = network
        proposing["decoders"] = (
            PyramidDecoder(proposer.pixel_decoder, in_widths=widths),
            QueryDecoder(decoder, in_width=widths[3], embedding_dim=width),
        )
    return {
        **proposing,
        "preprocess": Preprocess(config.image),
        "regions": (crops, prompts, config.regions.chunk),
        "image_tower": VisionTransformer(tower, embedding_dim=width),
        "text_encoder": TextEncoder(config.text_encoder, embedding_dim=width),
        "void_embedding": VoidEmbedding(embedding_dim=width, std=width**-0.5),
        "ensemble": ProposalEnsemble(config.ensemble),
    }


def build(config: OvsegConfig) -> OvsegRegions:
    """Composes the method with fresh weights, in eval mode."""
    return (OvsegRegions if config.proposer is None else Ovseg)(**build_parts(config)).eval()
