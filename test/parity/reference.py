"""What the oracle says of a case, as arrays to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oracle.heads import (
    Instances,
    PanopticSegment,
    PanopticThresholds,
    instances,
    panoptic_map,
    semantic_scores,
)
from oracle.model import OracleModel, mask_logits_at_output, resize_valid
from oracle.preprocess import preprocess

from .cases import Case, training_vocabulary


@dataclass(frozen=True)
class Outcome:
    """Results of one case, by the oracle or by a bundle.

    mask_logits float [Q, h, w]; class_log_probs float [Q, K+1]; label maps int [H, W], from masks
    resized first and from scores resized last; panoptic int [H, W] of segment ids with segments.
    """

    mask_logits: Tensor
    class_log_probs: Tensor
    labels: Tensor
    labels_resized_scores: Tensor
    panoptic: Tensor
    segments: list[PanopticSegment]
    instances: Instances


@torch.inference_mode()
def oracle_outcome(model: OracleModel, case: Case) -> Outcome:
    """Run the oracle with the published thresholds."""
    config, vocabulary = model.config, case.vocabulary
    classes = model.class_matrix(vocabulary.prompts(), vocabulary.synonym_counts)
    sizes = preprocess(case.picture, config)
    result = model(sizes.image, classes, vocabulary.seen(training_vocabulary()))
    log_probs, masks = result.class_log_probs[0], result.mask_logits[0]
    full = mask_logits_at_output(masks, sizes)
    network = torch.nn.functional.interpolate(
        masks[None], size=sizes.network_size, mode="bilinear", align_corners=False
    )[0]
    thing = torch.tensor(vocabulary.thing)
    thresholds = PanopticThresholds(config.object_mask_threshold, config.overlap_threshold)
    panoptic, segments = panoptic_map(log_probs, full, thing, thresholds)
    return Outcome(
        mask_logits=masks,
        class_log_probs=log_probs,
        labels=semantic_scores(log_probs, full).argmax(0),
        labels_resized_scores=resize_valid(semantic_scores(log_probs, network), sizes).argmax(0),
        panoptic=panoptic,
        segments=segments,
        instances=instances(log_probs, full, thing, config.instance_top_k, things_only=True),
    )
