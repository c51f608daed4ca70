"""The whole network: picture and class matrix → mask logits, class log-probabilities, results."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .clip import Clip
from .config import OracleConfig
from .decisions import Decisions
from .pixel_decoder import PixelDecoder
from .predictor import ClassMatrix, Prediction, Predictor, cosine_class_logits
from .preprocess import NetworkInput


@dataclass(frozen=True)
class MaskedClasses:
    """mask_logits [B, Q, H/4, W/4], class_log_probs [B, Q, K + 1] with void last."""

    mask_logits: Tensor
    class_log_probs: Tensor
    in_vocabulary_logits: Tensor


class FrozenBackbone(nn.Module):
    """`backbone` of the published model: only CLIP."""

    def __init__(self, config: OracleConfig) -> None:
        """Builds CLIP."""
        super().__init__()
        self.clip_model = Clip(config)


class SegmentationHead(nn.Module):
    """`sem_seg_head` of the published model: pixel decoder and predictor."""

    def __init__(self, config: OracleConfig) -> None:
        """Builds both."""
        super().__init__()
        self.pixel_decoder = PixelDecoder(config.image.channels, config.decoder)
        self.predictor = Predictor(config.decoder, config.embed_dim)


class OracleModel(nn.Module):
    """The published network, eager, float32, NCHW."""

    def __init__(self, config: OracleConfig) -> None:
        """Builds the network in eval mode with every parameter frozen."""
        super().__init__()
        self.config = config
        self.backbone = FrozenBackbone(config)
        self.sem_seg_head = SegmentationHead(config)
        self.void_embedding = nn.Embedding(1, config.embed_dim)
        self.requires_grad_(False).eval()

    @property
    def clip(self) -> Clip:
        """The CLIP model."""
        return self.backbone.clip_model

    def class_matrix(self, prompts: Tensor, synonym_counts: list[int]) -> ClassMatrix:
        """prompts: int64 token ids [S, T, 77] → rows per synonym with the void row last."""
        synonyms, templates, length = prompts.shape
        text = self.clip.encode_prompts(prompts.reshape(-1, length))
        mean = text.view(synonyms, templates, -1).mean(1)
        return self.with_void(functional.normalize(mean, dim=-1), synonym_counts)

    def with_void(self, rows: Tensor, synonym_counts: list[int]) -> ClassMatrix:
        """rows: unit-norm [S, D] → the same with the normalised void row appended."""
        void = functional.normalize(self.void_embedding.weight, dim=-1)
        return ClassMatrix(torch.cat([rows, void]), synonym_counts)

    def forward(
        self,
        image: Tensor,
        classes: ClassMatrix,
        seen: Tensor,
        decisions: Decisions | None = None,
    ) -> MaskedClasses:
        """Run the network: image [B, 3, H, W] normalised and padded; seen bool [K]."""
        decisions = decisions or Decisions()
        pyramid = self.clip.visual.feature_maps(image)
        mask_features, maps = self.sem_seg_head.pixel_decoder(pyramid)
        final = self.sem_seg_head.predictor(maps, mask_features, classes, decisions)[-1]
        log_probs = self.classify(pyramid[-1], final, classes, seen, decisions)
        return MaskedClasses(final.mask_logits, log_probs, final.class_logits)

    def classify(
        self,
        res5: Tensor,
        final: Prediction,
        classes: ClassMatrix,
        seen: Tensor,
        decisions: Decisions | None = None,
    ) -> Tensor:
        """Fuses both classifiers: class log-probabilities [B, Q, K + 1], void last."""
        masks = functional.interpolate(
            final.mask_logits, size=res5.shape[-2:], mode="bilinear", align_corners=False
        )
        decisions = decisions or Decisions()
        inside = decisions.settle(masks > 0, masks, "coarse").to(res5.dtype)
        regions = self.clip.visual.region_embeddings(res5, inside)
        out_logits = cosine_class_logits(regions, self.clip.logit_scale, classes)[..., :-1]
        valid = torch.ones(inside.shape[:2])
        if self.config.ensemble_on_valid_mask:
            valid = (inside.flatten(2).sum(-1) > 0).to(res5.dtype)
        weights = (self.config.alpha, self.config.beta)
        return fuse(final.class_logits, out_logits, seen, valid, weights)


def fuse(
    in_logits: Tensor,
    out_logits: Tensor,
    seen: Tensor,
    valid: Tensor,
    weights: tuple[float, float],
) -> Tensor:
    """The geometric ensemble as published: powers of probabilities, then the logarithm.

    in_logits [B, Q, K+1], out_logits [B, Q, K], seen bool [K], valid 0/1 float [B, Q],
    weights (alpha, beta) → log-probabilities [B, Q, K+1].
    """
    p_in = in_logits[..., :-1].softmax(-1)
    p_out = out_logits.softmax(-1)
    alpha = torch.ones_like(p_in) * weights[0] * valid[..., None]
    beta = torch.ones_like(p_in) * weights[1] * valid[..., None]
    seen_scores = (p_in ** (1 - alpha) * p_out**alpha).log()
    unseen_scores = (p_in ** (1 - beta) * p_out**beta).log()
    scores = torch.where(seen, seen_scores, unseen_scores)
    void = in_logits.softmax(-1)[..., -1:]
    return torch.log(torch.cat([scores.softmax(-1) * (1.0 - void), void], dim=-1) + 1e-8)


def mask_logits_at_output(mask_logits: Tensor, sizes: NetworkInput) -> Tensor:
    """mask_logits [Q, h, w] → [Q, H, W]: to the padded input, cropped, to the original size."""
    full = functional.interpolate(
        mask_logits[None], size=sizes.network_size, mode="bilinear", align_corners=False
    )
    return resize_valid(full[0], sizes)


def resize_valid(maps: Tensor, sizes: NetworkInput) -> Tensor:
    """maps [N, network H, network W] → [N, H, W]: the valid part, bilinear to the original size."""
    height, width = sizes.valid_size
    return functional.interpolate(
        maps[None, :, :height, :width],
        size=sizes.output_size,
        mode="bilinear",
        align_corners=False,
    )[0]
