"""Set loss over masks and their classes, on sampled points, with deep supervision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.objectives.mask_matching import matching_cost
from lexiseg_models.objectives.sample_points import sample_at
from lexiseg_models.ops import load_ops
from lexiseg_models.uniform_points import mix_seeds, uniform_points


@dataclass(frozen=True)
class MaskClassificationConfig:
    """Weights and sampling of the loss.

    Attributes:
        class_weight: of the cross entropy, in loss and matching.
        mask_weight: of the binary cross entropy on points, in loss and matching.
        dice_weight: of the Dice loss on points, in loss and matching.
        void_weight: of a query without a segment within the cross entropy.
        points: sampled per mask, and shared by all masks of an image while matching.
        oversampling: candidates drawn per point that is kept for its uncertainty.
        importance: share of the points chosen by uncertainty, 0..1.
    """

    class_weight: float
    mask_weight: float
    dice_weight: float
    void_weight: float
    points: int
    oversampling: float
    importance: float


class Segments(NamedTuple):
    """The true segments of a batch.

    Attributes:
        masks: float32 [M, H, W], 0 or 1, image after image.
        labels: int64 [M], index of the class.
        counts: segments of each image, summing to M.
        seeds: int64 [B], one of each image; all random points follow from them.
    """

    masks: Tensor
    labels: Tensor
    counts: List[int]
    seeds: Tensor


def read_segments(batch: Dict[str, Tensor]) -> Segments:
    """The segments in a batch of `images`, `masks`, `labels`, `mask_counts` and `seeds`."""
    counts: List[int] = batch["mask_counts"].tolist()
    masks, labels = batch["masks"], batch["labels"]
    if sum(counts) != masks.shape[0] or labels.shape[0] != masks.shape[0]:
        raise ValueError("Expected mask_counts to sum to the number of masks and labels")
    if len(counts) != batch["images"].shape[0] or batch["seeds"].shape[0] != len(counts):
        raise ValueError("Expected one of mask_counts and of seeds for each image")
    return Segments(masks.to(torch.float32), labels, counts, batch["seeds"])


def segment_seeds(segments: Segments) -> Tensor:
    """A number of its own for each segment: int64 [M]."""
    seeds: List[Tensor] = []
    for image, count in enumerate(segments.counts):
        order = torch.arange(count, device=segments.seeds.device)
        seeds.append(mix_seeds(segments.seeds[image : image + 1], 101) + order)
    return torch.cat(seeds)


class MaskClassification(nn.Module):
    """Cross entropy of matched classes, cross entropy and Dice of matched masks.

    Every prediction of the decoder has a matching and a loss of its own (FC-CLIP sec. 3; the
    recipe of Mask2Former). Denominators are means over ranks, so that several processes give
    the gradient of one with all their images.
    """

    def __init__(self, config: MaskClassificationConfig) -> None:
        """Keeps the numbers of `config`; there are no parameters."""
        super().__init__()
        load_ops()
        self.class_weight: float = config.class_weight
        self.mask_weight: float = config.mask_weight
        self.dice_weight: float = config.dice_weight
        self.void_weight: float = config.void_weight
        self.points: int = config.points
        self.candidates: int = int(config.points * config.oversampling)
        self.uncertain: int = int(config.points * config.importance)

    def match(
        self, class_logits: Tensor, mask_logits: Tensor, segments: Segments, layer: int
    ) -> Tuple[Tensor, Tensor]:
        """Pairs of queries and segments, all images together.

        Args:
            class_logits: [B, Q, K + 1].
            mask_logits: [B, Q, h, w].
            segments: the truth.
            layer: which prediction; each has points of its own.

        Returns:
            int64 [N] twice: query, counted through the batch as b * Q + q; segment, 0..M - 1,
            rising.
        """
        weights = torch.tensor(
            [self.class_weight, self.mask_weight, self.dice_weight],
            dtype=torch.float64,
            device=mask_logits.device,
        )
        queries = class_logits.shape[1]
        rows: List[Tensor] = []
        columns: List[Tensor] = []
        start = 0
        for image, count in enumerate(segments.counts):
            if count > 0:
                end = start + count
                seed = mix_seeds(segments.seeds[image : image + 1], 2 * layer)
                points = uniform_points(seed, self.points)
                predicted = sample_at(mask_logits[image].detach(), points.expand(queries, -1, -1))
                true = sample_at(segments.masks[start:end], points.expand(count, -1, -1))
                labels = segments.labels[start:end]
                logits = class_logits[image].detach()
                cost = matching_cost(logits, labels, predicted, true, weights)
                query, segment = torch.ops.lexiseg.linear_sum_assignment(cost)
                order = segment.argsort()
                rows.append(query.index_select(0, order) + image * queries)
                columns.append(segment.index_select(0, order) + start)
            start += count
        if len(rows) == 0:
            none = torch.zeros([0], dtype=torch.int64, device=mask_logits.device)
            return none, none
        return torch.cat(rows), torch.cat(columns)

    def choose_points(self, predicted: Tensor, seeds: Tensor) -> Tensor:
        """Points where the prediction is least sure, and some anywhere.

        Args:
            predicted: mask logits [N, h, w].
            seeds: int64 [N].

        Returns:
            float32 [N, P, 2].
        """
        anywhere = uniform_points(mix_seeds(seeds, 1), self.points - self.uncertain)
        candidates = uniform_points(mix_seeds(seeds, 0), self.candidates)
        doubt = -sample_at(predicted.detach(), candidates).abs()
        chosen = doubt.topk(self.uncertain, dim=1, sorted=False).indices
        near = candidates.gather(1, chosen.unsqueeze(2).expand(-1, -1, 2))
        return torch.cat((near, anywhere), dim=1)

    def mask_losses(
        self, predicted: Tensor, true: Tensor, seeds: Tensor, total: Tensor
    ) -> Tuple[Tensor, Tensor]:
        """Cross entropy and Dice of matched masks, unweighted.

        Args:
            predicted: mask logits [N, h, w].
            true: float32 [N, H, W].
            seeds: int64 [N].
            total: scalar, segments of a rank on average, at least 1.
        """
        points = self.choose_points(predicted, seeds)
        logits, inside = sample_at(predicted, points), sample_at(true, points)
        entropy = F.binary_cross_entropy_with_logits(logits, inside, reduction="none").mean(1)
        probability = logits.sigmoid()
        both = 2.0 * (probability * inside).sum(1)
        dice = 1.0 - (both + 1.0) / (probability.sum(1) + inside.sum(1) + 1.0)
        return entropy.sum() / total, dice.sum() / total

    def class_loss(self, class_logits: Tensor, query: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean cross entropy over all queries, void where nothing matched.

        Args:
            class_logits: [B, Q, K + 1].
            query: int64 [N], matched queries.
            labels: int64 [N], their classes.
        """
        logits = class_logits.flatten(0, 1).to(torch.float32)
        void = logits.shape[1] - 1
        target = torch.full([logits.shape[0]], void, dtype=torch.int64, device=logits.device)
        target = target.index_put([query], labels)
        weight = torch.where(target == void, self.void_weight, 1.0)
        entropy = F.cross_entropy(logits, target, reduction="none")
        return (entropy * weight).sum() / torch.ops.lexiseg.mean_over_ranks(weight.sum())

    def forward(
        self, class_logits: List[Tensor], mask_logits: List[Tensor], segments: Segments
    ) -> Dict[str, Tensor]:
        """Weighted losses.

        Args:
            class_logits: of every prediction, [B, Q, K + 1], void last; the final one last.
            mask_logits: of every prediction, [B, Q, h, w].
            segments: the truth.

        Returns:
            `class`, `mask` and `dice` of the final prediction, and the sums over the others as
            `class_auxiliary`, `mask_auxiliary` and `dice_auxiliary`; scalars.
        """
        count = torch.tensor(
            float(len(segments.labels)), dtype=torch.float32, device=class_logits[0].device
        )
        total = torch.ops.lexiseg.mean_over_ranks(count).clamp(min=1.0)
        losses: Dict[str, Tensor] = {}
        last = len(class_logits) - 1
        owners = torch.repeat_interleave(
            segments.seeds,
            torch.tensor(segments.counts, dtype=torch.int64, device=segments.seeds.device),
        )
        order = torch.arange(owners.shape[0], device=owners.device)
        for layer in range(len(class_logits)):
            query, segment = self.match(class_logits[layer], mask_logits[layer], segments, layer)
            seeds = mix_seeds(owners, 2 * layer + 1) + _within(segments.counts, order)
            # Segments rise, so where each has a query there is nothing to select, and no copy.
            all_matched = segment.shape[0] == segments.masks.shape[0]
            true = segments.masks if all_matched else segments.masks.index_select(0, segment)
            entropy, dice = self.mask_losses(
                mask_logits[layer].flatten(0, 1).index_select(0, query),
                true,
                seeds.index_select(0, segment),
                total,
            )
            labels = segments.labels.index_select(0, segment)
            found = {
                "class": self.class_weight * self.class_loss(class_logits[layer], query, labels),
                "mask": self.mask_weight * entropy,
                "dice": self.dice_weight * dice,
            }
            for name, value in found.items():
                key = name if layer == last else name + "_auxiliary"
                losses[key] = losses[key] + value if key in losses else value
        return losses


def _within(counts: List[int], order: Tensor) -> Tensor:
    """Number of each segment within its image: int64 [M]."""
    starts: List[int] = []
    start = 0
    for count in counts:
        for _ in range(count):
            starts.append(start)
        start += count
    return order - torch.tensor(starts, dtype=torch.int64, device=order.device)
