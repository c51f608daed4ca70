"""One-to-one matching of predicted and true masks at the least cost (FC-CLIP sec. 3, DETR)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_costs(predicted: Tensor, true: Tensor) -> Tensor:
    """Binary cross entropy of every pair, a mean over points.

    Autocast leaves float64 alone, and these products must not be rounded to bfloat16.

    Args:
        predicted: logits [Q, P].
        true: [T, P], 0..1.

    Returns:
        float64 [Q, T].
    """
    logits, inside = predicted.to(torch.float64), true.to(torch.float64)
    positive, negative = F.softplus(-logits), F.softplus(logits)
    total = positive @ inside.t() + negative @ (1.0 - inside).t()
    return total / max(logits.shape[1], 1)


def dice_costs(predicted: Tensor, true: Tensor) -> Tensor:
    """1 - Dice of every pair, with one added above and below.

    Args:
        predicted: logits [Q, P].
        true: [T, P], 0..1.

    Returns:
        float64 [Q, T].
    """
    probability, inside = predicted.to(torch.float64).sigmoid(), true.to(torch.float64)
    both = 2.0 * (probability @ inside.t())
    total = probability.sum(1).unsqueeze(1) + inside.sum(1).unsqueeze(0)
    return 1.0 - (both + 1.0) / (total + 1.0)


def matching_cost(
    class_logits: Tensor, labels: Tensor, predicted: Tensor, true: Tensor, weights: Tensor
) -> Tensor:
    """Cost of giving each true segment to each query.

    Args:
        class_logits: [Q, K + 1], void last.
        labels: int64 [T].
        predicted: mask logits at the points, [Q, P].
        true: masks at the same points, [T, P].
        weights: float64 [3], of class, mask and dice.

    Returns:
        float64 [Q, T].
    """
    probability = class_logits.to(torch.float64).softmax(1)
    cost = -weights[0] * probability.index_select(1, labels)
    cost = cost + weights[1] * mask_costs(predicted, true)
    return cost + weights[2] * dice_costs(predicted, true)
