"""A teacher's distances, set right by those of texts (arXiv 2303.09181, sec. 3.2)."""

from __future__ import annotations

from typing import List

import torch
from torch import Tensor


def distances(left: Tensor, right: Tensor) -> Tensor:
    """Euclidean distances of unit rows: [N, M] of [N, D] and [M, D].

    The small number keeps the root's slope finite where two rows are equal.
    """
    cosines = left.to(torch.float64) @ right.to(torch.float64).t()
    return (2.0 - 2.0 * cosines).clamp(min=0.0).add(1e-6).sqrt().to(torch.float32)


def guided_distillation(students: Tensor, teachers: Tensor, names: Tensor) -> Tensor:
    """How far the student's distances to the teacher's regions are from those of their names.

    (1 / N) sum over i, j of | |V_i - C_j| - |T_i - T_j| | over the regions of one image. Where two
    regions have one name that is plain distillation.

    Args:
        students: [N, D], unit norm.
        teachers: [N, D], unit norm; no gradient flows into them.
        names: [N, D], unit norm.

    Returns:
        Scalar.
    """
    wanted = distances(names, names).detach()
    given = distances(students, teachers.detach())
    return (given - wanted).abs().sum() / max(students.shape[0], 1)


def distillation_by_image(
    students: Tensor, teachers: Tensor, names: Tensor, segment: Tensor, counts: List[int]
) -> Tensor:
    """The mean of `guided_distillation` over the images that have regions.

    Args:
        students: [N, D], unit norm, of matched queries.
        teachers: [M, D], unit norm, of segments.
        names: [M, D], unit norm, of the segments' classes.
        segment: int64 [N], rising, the segment of each student.
        counts: segments of each image, summing to M.

    Returns:
        Scalar.
    """
    total = torch.zeros([], device=students.device)
    images, start = 0, 0
    for count in counts:
        here = ((segment >= start) & (segment < start + count)).nonzero()[:, 0]
        if here.shape[0] > 0:
            own = segment.index_select(0, here)
            total = total + guided_distillation(
                students.index_select(0, here),
                teachers.index_select(0, own),
                names.index_select(0, own),
            )
            images += 1
        start += count
    return total / max(images, 1)
