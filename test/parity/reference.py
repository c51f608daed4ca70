"""What the oracle says of a case, as arrays to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oracle.decisions import Decisions
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

LOOSE_OVERLAP = 0.2
PanopticMap = tuple[Tensor, list[PanopticSegment]]
"""int [H, W] of segment ids, and the segments."""


@dataclass(frozen=True)
class Outcome:
    """Results of one case, by the oracle or by a bundle.

    mask_logits float [Q, h, w]; class_log_probs float [Q, K+1]; label maps int [H, W], from masks
    resized first and from scores resized last; panoptic maps with the published thresholds and
    with LOOSE_OVERLAP, which keeps more segments of a random network;
    decided bool [H, W]: the best class leads the second by a tenth of its score.
    """

    mask_logits: Tensor
    class_log_probs: Tensor
    labels: Tensor
    labels_resized_scores: Tensor
    panoptic: PanopticMap
    panoptic_loose: PanopticMap
    instances: Instances
    decided: Tensor | None = None


@torch.inference_mode()
def oracle_outcome(model: OracleModel, case: Case, decisions: Decisions | None = None) -> Outcome:
    """Run the oracle with the published thresholds; ties are decided as in `decisions`."""
    config, vocabulary = model.config, case.vocabulary
    classes = model.class_matrix(vocabulary.prompts(), vocabulary.synonym_counts)
    sizes = preprocess(case.picture, config)
    result = model(sizes.image, classes, vocabulary.seen(training_vocabulary()), decisions)
    log_probs, masks = result.class_log_probs[0], result.mask_logits[0]
    full = mask_logits_at_output(masks, sizes)
    network = torch.nn.functional.interpolate(
        masks[None], size=sizes.network_size, mode="bilinear", align_corners=False
    )[0]
    thing = torch.tensor(vocabulary.thing)
    published = PanopticThresholds(config.object_mask_threshold, config.overlap_threshold)
    loose = PanopticThresholds(config.object_mask_threshold, LOOSE_OVERLAP)
    scores = semantic_scores(log_probs, full)
    best = scores.topk(2, dim=0)
    return Outcome(
        mask_logits=masks,
        class_log_probs=log_probs,
        labels=best.indices[0],
        labels_resized_scores=resize_valid(semantic_scores(log_probs, network), sizes).argmax(0),
        panoptic=panoptic_map(log_probs, full, thing, published),
        panoptic_loose=panoptic_map(log_probs, full, thing, loose),
        instances=instances(log_probs, full, thing, config.instance_top_k, things_only=True),
        decided=best.values[1] < 0.9 * best.values[0],
    )
