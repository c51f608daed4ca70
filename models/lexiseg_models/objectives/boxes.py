"""Features of boxes: many images on one canvas, each with an embedding of its own."""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor


def cover_boxes(boxes: Tensor, count: int, size: Tuple[int, int], grid: Tuple[int, int]) -> Tensor:
    """What each cell of a box's canvas counts by: the share of it that the box covers.

    Args:
        boxes: int64 [N, 5]: canvas, left, top, right and bottom in pixels of the canvas; right and
            bottom are one past the last pixel.
        count: number of canvases.
        size: height and width of the canvases, pixels.
        grid: height and width of the canvases, cells.

    Returns:
        float64 [N, cells]; rows sum to 1.

    Raises:
        ValueError: a box lies outside its canvas, or is empty, or of no canvas.
    """
    canvas, starts, ends = boxes[:, 0], boxes[:, 1:3], boxes[:, 3:5]
    limits = torch.tensor([size[1], size[0]], device=boxes.device)
    sound = (canvas >= 0) & (canvas < count)
    sound = sound & ((starts >= 0) & (starts < ends) & (ends <= limits)).all(dim=1)
    if not bool(sound.all()):
        raise ValueError("Expected boxes that are not empty and lie inside their canvases")
    columns = _cover(starts[:, 0], ends[:, 0], size[1], grid[1])
    rows = _cover(starts[:, 1], ends[:, 1], size[0], grid[0])
    return (rows.unsqueeze(2) * columns.unsqueeze(1)).flatten(1)


def pool_boxes(dense: Tensor, boxes: Tensor, size: Tuple[int, int]) -> Tensor:
    """Mean feature of each box.

    Args:
        dense: features of canvases, [B, C, h, w].
        boxes: int64 [N, 5], as `cover_boxes` takes them.
        size: height and width of the canvases, pixels.

    Returns:
        float32 [N, C].

    Raises:
        ValueError: as `cover_boxes`.
    """
    count, height, width = dense.shape[0], dense.shape[2], dense.shape[3]
    canvas = boxes[:, 0]
    weights = cover_boxes(boxes, count, size, (height, width))
    of_all = weights.new_zeros((boxes.shape[0], count, height * width))
    of_all[torch.arange(boxes.shape[0], device=boxes.device), canvas] = weights
    # Autocast leaves float64 alone, and a mean over a few cells costs nothing beside the tower.
    cells = dense.permute(0, 2, 3, 1).flatten(0, 2).to(torch.float64)
    return (of_all.flatten(1) @ cells).to(torch.float32)


def _cover(start: Tensor, end: Tensor, size: int, cells: int) -> Tensor:
    """Share of each interval that falls into each cell: float64 [N, cells], rows sum to 1."""
    scale = cells / size
    first, last = start.to(torch.float64) * scale, end.to(torch.float64) * scale
    edges = torch.arange(cells, device=start.device).to(torch.float64)
    inside = torch.minimum(last.unsqueeze(1), edges + 1) - torch.maximum(first.unsqueeze(1), edges)
    covered = inside.clamp(min=0)
    return covered / covered.sum(dim=1, keepdim=True)
