"""MaskFormer's set loss (arXiv 2107.06278): focal and Dice over whole masks, nothing sampled."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lexiseg_models.objectives.mask_classification import (
    MaskClassification,
    MaskClassificationConfig,
    Segments,
)
from lexiseg_models.objectives.mask_matching import dice_costs


def focal_costs(predicted: Tensor, true: Tensor) -> Tensor:
    """Sigmoid focal loss of every pair, a mean over pixels (alpha 0.25, gamma 2).

    Args:
        predicted: logits [Q, P].
        true: [T, P], 0..1.

    Returns:
        float64 [Q, T].
    """
    logits, inside = predicted.to(torch.float64), true.to(torch.float64)
    probability = logits.sigmoid()
    positive = 0.25 * (1.0 - probability) ** 2 * F.softplus(-logits)
    negative = 0.75 * probability**2 * F.softplus(logits)
    total = positive @ inside.t() + negative @ (1.0 - inside).t()
    return total / max(logits.shape[1], 1)


@dataclass(frozen=True)
class FullMaskConfig:
    """Weights of the loss.

    Attributes:
        class_weight: of the cross entropy, in loss and matching.
        mask_weight: of the focal loss, in loss and matching.
        dice_weight: of the Dice loss, in loss and matching.
        void_weight: of a query without a segment within the cross entropy.
    """

    class_weight: float
    mask_weight: float
    dice_weight: float
    void_weight: float


class FullMaskClassification(MaskClassification):
    """As its base, but matching at the size of predictions and losses at that of the truth."""

    def __init__(self, config: FullMaskConfig) -> None:
        """Keeps the numbers of `config`; there are no parameters."""
        unsampled = {"points": 1, "oversampling": 1.0, "importance": 0.0}
        super().__init__(MaskClassificationConfig(**asdict(config), **unsampled))

    def match(
        self, class_logits: Tensor, mask_logits: Tensor, segments: Segments, layer: int
    ) -> Tuple[Tensor, Tensor]:
        """Pairs of queries and segments, as the base gives them."""
        height, width = mask_logits.shape[2], mask_logits.shape[3]
        queries = class_logits.shape[1]
        rows: List[Tensor] = []
        columns: List[Tensor] = []
        start = 0
        for image, count in enumerate(segments.counts):
            if count > 0:
                end = start + count
                true = F.interpolate(
                    segments.masks[start:end].unsqueeze(0), size=[height, width], mode="nearest"
                )[0].flatten(1)
                predicted = mask_logits[image].detach().to(torch.float32).flatten(1)
                probability = class_logits[image].detach().to(torch.float64).softmax(1)
                cost = -self.class_weight * probability.index_select(1, segments.labels[start:end])
                cost = cost + self.mask_weight * focal_costs(predicted, true)
                cost = cost + self.dice_weight * dice_costs(predicted, true)
                query, segment = torch.ops.lexiseg.linear_sum_assignment(cost)
                order = segment.argsort()
                rows.append(query.index_select(0, order) + image * queries)
                columns.append(segment.index_select(0, order) + start)
            start += count
        if len(rows) == 0:
            none = torch.zeros([0], dtype=torch.int64, device=mask_logits.device)
            return none, none
        return torch.cat(rows), torch.cat(columns)

    def mask_losses(
        self, predicted: Tensor, true: Tensor, seeds: Tensor, total: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Focal loss and Dice of matched masks, unweighted.

        Args:
            predicted: mask logits [N, h, w].
            true: float32 [N, H, W].
            seeds: not used: no pixel is left to chance.
            total: scalar, segments of a rank on average, at least 1.
        """
        logits = F.interpolate(
            predicted.to(torch.float32).unsqueeze(0),
            size=[true.shape[1], true.shape[2]],
            mode="bilinear",
            align_corners=False,
        )[0].flatten(1)
        inside = true.flatten(1)
        probability = logits.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(logits, inside, reduction="none")
        right = probability * inside + (1.0 - probability) * (1.0 - inside)
        alpha = 0.25 * inside + 0.75 * (1.0 - inside)
        focal = (alpha * (1.0 - right) ** 2 * entropy).mean(1)
        both = 2.0 * (probability * inside).sum(1)
        dice = 1.0 - (both + 1.0) / (probability.sum(1) + inside.sum(1) + 1.0)
        return focal.sum() / total, dice.sum() / total
