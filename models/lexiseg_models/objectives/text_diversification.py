"""Synonyms in the place of class names while training (arXiv 2303.09181, sec. 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from lexiseg_models.objectives.sample_points import uniform_points


def first_names(class_embeddings: Tensor, synonym_counts: Tensor) -> Tensor:
    """The name of each class itself, its first synonym: [K, D] of [S, D]."""
    starts = synonym_counts.cumsum(0) - synonym_counts
    return class_embeddings.index_select(0, starts)


def draw_synonyms(
    regions: Tensor,
    labels: Tensor,
    class_embeddings: Tensor,
    synonym_counts: Tensor,
    seeds: Tensor,
) -> Tensor:
    """A synonym for each segment, as probable as a teacher finds it fits what is seen.

    The softmax runs over the synonyms of the segment's own class alone: most meanings of a noun
    are not that of the picture. One that gets less than 2 % is never drawn.

    Args:
        regions: the teacher's embeddings of the segments, float32 [M, D], unit norm.
        labels: int64 [M].
        class_embeddings: float32 [S, D], unit norm, the names of a class one after another.
        synonym_counts: int64 [K], summing to S.
        seeds: int64 [M].

    Returns:
        int64 [M], rows of `class_embeddings`.
    """
    least = 0.02
    classes = synonym_counts.shape[0]
    owners = torch.repeat_interleave(
        torch.arange(classes, device=labels.device), synonym_counts.to(labels.device)
    )
    own = owners.unsqueeze(0) == labels.unsqueeze(1)
    scores = 100.0 * (regions.to(torch.float32) @ class_embeddings.to(torch.float32).t())
    share = scores.masked_fill(~own, -1e30).softmax(1)
    share = torch.where(share < least, torch.zeros_like(share), share)
    # Where none passes, nearly all are alike: the best of them.
    best = torch.nn.functional.one_hot(scores.masked_fill(~own, -1e30).argmax(1), share.shape[1])
    share = torch.where(share.sum(1, keepdim=True) > 0.0, share, best.to(share.dtype))
    limit = share.cumsum(1)
    place = uniform_points(seeds, 1)[:, 0, 0].unsqueeze(1) * limit[:, -1:]
    return (limit <= place).sum(1).clamp(max=share.shape[1] - 1)


def diversified_logits(
    embeddings: Tensor, names: Tensor, labels: Tensor, drawn: Tensor, scale: Tensor
) -> Tensor:
    """Class logits in which each region's own class is meant by its drawn synonym.

    Args:
        embeddings: of matched regions, float32 [N, D], unit norm.
        names: float32 [K, D], unit norm.
        labels: int64 [N].
        drawn: the synonyms' embeddings, float32 [N, D], unit norm.
        scale: scalar.

    Returns:
        float32 [N, K].
    """
    wide = embeddings.to(torch.float64)
    logits = wide @ names.to(torch.float64).t()
    own = (wide * drawn.to(torch.float64)).sum(1, keepdim=True)
    replaced = logits.scatter(1, labels.unsqueeze(1), own)
    return scale * replaced.to(torch.float32)
