"""Semantic, panoptic and instance results from full-resolution tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PanopticSegment:
    """One segment; `id` is its value in the map."""

    id: int
    class_index: int
    is_thing: bool


@dataclass(frozen=True)
class PanopticThresholds:
    """A query counts above `object_mask`; it survives if it wins `overlap` of its area."""

    object_mask: float = 0.0
    overlap: float = 0.8


@dataclass(frozen=True)
class Instances:
    """masks bool [N, H, W], scores float [N], classes int64 [N], query_index int64 [N]."""

    masks: Tensor
    scores: Tensor
    classes: Tensor
    query_index: Tensor


def semantic_scores(class_log_probs: Tensor, mask_logits: Tensor) -> Tensor:
    """class_log_probs [Q, K+1], mask_logits [Q, H, W] → float [K, H, W]."""
    probs = class_log_probs.softmax(-1)[..., :-1]
    return torch.einsum("qc,qhw->chw", probs, mask_logits.sigmoid())


def panoptic_map(
    class_log_probs: Tensor,
    mask_logits: Tensor,
    thing: Tensor,
    thresholds: PanopticThresholds,
) -> tuple[Tensor, list[PanopticSegment]]:
    """class_log_probs [Q, K+1], mask_logits [Q, H, W], thing bool [K] → int32 [H, W], segments."""
    scores, labels = class_log_probs.softmax(-1).max(-1)
    keep = labels.ne(class_log_probs.shape[-1] - 1) & (scores > thresholds.object_mask)
    scores, labels, probs = scores[keep], labels[keep], mask_logits.sigmoid()[keep]
    result = torch.zeros(mask_logits.shape[-2:], dtype=torch.int32)
    segments: list[PanopticSegment] = []
    if not len(scores):
        return result, segments
    winner = (scores.view(-1, 1, 1) * probs).argmax(0)
    stuff_ids: dict[int, int] = {}
    for k in range(len(scores)):
        class_index = int(labels[k])
        won = winner == k
        inside = probs[k] >= 0.5
        final = won & inside
        won_area, inside_area = int(won.sum()), int(inside.sum())
        if not won_area or not inside_area or not final.any():
            continue
        if won_area / inside_area < thresholds.overlap:
            continue
        is_thing = bool(thing[class_index])
        if not is_thing and class_index in stuff_ids:
            result[final] = stuff_ids[class_index]
            continue
        segment_id = len(segments) + 1
        if not is_thing:
            stuff_ids[class_index] = segment_id
        result[final] = segment_id
        segments.append(PanopticSegment(segment_id, class_index, is_thing))
    return result, segments


def instances(
    class_log_probs: Tensor, mask_logits: Tensor, thing: Tensor, top_k: int, things_only: bool
) -> Instances:
    """class_log_probs [Q, K+1], mask_logits [Q, H, W]; the top k are taken before filtering."""
    probs = class_log_probs.softmax(-1)[:, :-1]
    classes_per_query = probs.shape[1]
    scores, index = probs.flatten().topk(min(top_k, probs.numel()), sorted=False)
    query_index = torch.div(index, classes_per_query, rounding_mode="floor")
    classes = index % classes_per_query
    if things_only:
        keep = thing[classes]
        scores, classes, query_index = scores[keep], classes[keep], query_index[keep]
    logits = mask_logits[query_index]
    inside = (logits > 0).float()
    mean_prob = (logits.sigmoid() * inside).flatten(1).sum(1) / (inside.flatten(1).sum(1) + 1e-6)
    return Instances(inside.bool(), scores * mean_prob, classes, query_index)
