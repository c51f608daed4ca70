"""Synonyms in the place of class names while training (arXiv 2303.09181, sec. 3.1)."""

from __future__ import annotations

from typing import Dict, List, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lexiseg_models.uniform_points import uniform_points


def first_names(class_embeddings: Tensor, synonym_counts: Tensor) -> Tensor:
    """The name of each class itself, its first synonym: [K, D] of [S, D]."""
    starts = synonym_counts.cumsum(0) - synonym_counts
    return class_embeddings.index_select(0, starts)


class SynonymDraw(nn.Module):
    """A synonym for each segment, of those that a teacher finds to fit what is seen.

    The softmax runs over the synonyms of the segment's own class alone: most meanings of a noun
    are not that of the picture.
    """

    def __init__(self, *, scale: float, floor: float, even: bool) -> None:
        """There are no parameters.

        Args:
            scale: of the cosines whose softmax gives the shares.
            floor: a synonym whose share is smaller is never drawn, 0..1.
            even: all others are as probable, instead of each by its share.
        """
        super().__init__()
        self.scale: float = scale
        self.floor: float = floor
        self.even: bool = even

    def forward(
        self,
        regions: Tensor,
        labels: Tensor,
        class_embeddings: Tensor,
        synonym_counts: Tensor,
        seeds: Tensor,
    ) -> Tensor:
        """Draws.

        Args:
            regions: the teacher's embeddings of the segments, float32 [M, D], unit norm.
            labels: int64 [M].
            class_embeddings: float32 [S, D], unit norm, the names of a class one after another.
            synonym_counts: int64 [K], summing to S.
            seeds: int64 [M].

        Returns:
            int64 [M], rows of `class_embeddings`.
        """
        classes = synonym_counts.shape[0]
        owners = torch.repeat_interleave(
            torch.arange(classes, device=labels.device), synonym_counts.to(labels.device)
        )
        own = owners.unsqueeze(0) == labels.unsqueeze(1)
        cosines = regions.to(torch.float32) @ class_embeddings.to(torch.float32).t()
        scores = (self.scale * cosines).masked_fill(~own, -1e30)
        share = scores.softmax(1)
        share = torch.where(share < self.floor, torch.zeros_like(share), share)
        if self.even:
            share = (share > 0.0).to(share.dtype)
        # Where none passes, nearly all are alike: the best of them.
        best = F.one_hot(scores.argmax(1), share.shape[1])
        share = torch.where(share.sum(1, keepdim=True) > 0.0, share, best.to(share.dtype))
        limit = share.cumsum(1)
        place = uniform_points(seeds, 1)[:, 0, 0].unsqueeze(1) * limit[:, -1:]
        return (limit <= place).sum(1).clamp(max=share.shape[1] - 1)


class DiversifiedTexts(NamedTuple):
    """The texts that the images of a batch are classified by.

    Attributes:
        rows: of each image, int64 [K + E], rows of the class embeddings.
        slots: int64 [M], where in its image's texts each segment's own is.
    """

    rows: List[Tensor]
    slots: Tensor


def diversified_texts(
    labels: Tensor, drawn: Tensor, counts: List[int], synonym_counts: Tensor
) -> DiversifiedTexts:
    """Puts drawn synonyms in the places of the names of the classes that an image shows.

    A class goes by the synonym that the first of its segments drew; one that another drew is
    appended, and each segment means its own.

    Args:
        labels: int64 [M], classes of the segments, image after image.
        drawn: int64 [M], rows of the class embeddings, from `SynonymDraw`.
        counts: segments of each image, summing to M.
        synonym_counts: int64 [K].
    """
    names: List[int] = (synonym_counts.cumsum(0) - synonym_counts).tolist()
    own: List[int] = labels.tolist()
    rows: List[int] = drawn.tolist()
    texts: List[Tensor] = []
    slots: List[int] = []
    segment = 0
    for count in counts:
        image = [row for row in names]
        shown: Dict[int, int] = {}
        renamed: Dict[int, bool] = {}
        for _ in range(count):
            row, label = rows[segment], own[segment]
            # Rows belong to one class each, so that a row alone says which slot is meant.
            if row not in shown:
                if label in renamed:
                    shown[row] = len(image)
                    image.append(row)
                else:
                    shown[row] = label
                    image[label] = row
                    renamed[label] = True
            slots.append(shown[row])
            segment += 1
        texts.append(torch.tensor(image, dtype=torch.int64, device=labels.device))
    return DiversifiedTexts(texts, torch.tensor(slots, dtype=torch.int64, device=labels.device))


def diversified_loss(
    logits: List[Tensor], query: Tensor, slots: Tensor, kept: Tensor, void_weight: float
) -> Tensor:
    """Weighted mean cross entropy over all queries, where each image has texts of its own.

    Args:
        logits: of each image's queries, [Q, T + 1], void last.
        query: int64 [N], matched queries, counted through the batch as b * Q + q.
        slots: int64 [N], which of its image's texts each means.
        kept: bool [N]; matched queries that are not teach nothing.
        void_weight: of a query that nothing matched.

    Returns:
        Scalar.
    """
    total = torch.zeros([], device=query.device)
    weights = torch.zeros([], device=query.device)
    start = 0
    for own in logits:
        queries, void = own.shape[0], own.shape[1] - 1
        here = ((query >= start) & (query < start + queries)).nonzero()[:, 0]
        places = query.index_select(0, here) - start
        target = torch.full([queries], void, dtype=torch.int64, device=query.device)
        weight = torch.full([queries], void_weight, device=query.device)
        target = target.index_put([places], slots.index_select(0, here))
        weight = weight.index_put([places], kept.index_select(0, here).to(weight.dtype))
        total = total + (F.cross_entropy(own, target, reduction="none") * weight).sum()
        weights = weights + weight.sum()
        start += queries
    return total / torch.ops.lexiseg.mean_over_ranks(weights)
