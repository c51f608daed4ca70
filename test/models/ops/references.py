"""Slow references of the operators, written from their definitions in float64 loops."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Geometry(NamedTuple):
    """Heights and widths of the network input, of the image inside it, and of the output."""

    network_height: int
    network_width: int
    valid_height: int
    valid_width: int
    height: int
    width: int


def axis_matrix(samples: int, pixels: int) -> Tensor:
    """float64 [pixels, samples]: bilinear along one axis, half-pixel centres, no antialias."""
    matrix = torch.zeros(pixels, samples, dtype=torch.float64)
    for i in range(pixels):
        position = max((i + 0.5) * samples / pixels - 0.5, 0.0)
        low = min(int(position), samples - 1)
        high = min(low + 1, samples - 1)
        share = position - low
        matrix[i, low] += 1 - share
        matrix[i, high] += share
    return matrix


def resize(planes: Tensor, height: int, width: int) -> Tensor:
    """[..., h, w] to float64 [..., height, width]."""
    rows = axis_matrix(planes.shape[-2], height)
    columns = axis_matrix(planes.shape[-1], width)
    return rows @ planes.double() @ columns.T


def at_network(mask_logits: Tensor, geometry: Geometry) -> Tensor:
    """Logits on the valid part of the network input."""
    whole = resize(mask_logits, geometry.network_height, geometry.network_width)
    return whole[..., : geometry.valid_height, : geometry.valid_width]


def at_output(mask_logits: Tensor, geometry: Geometry) -> Tensor:
    """Logits at the pixels of the output: float64 [Q, H, W]."""
    return resize(at_network(mask_logits, geometry), geometry.height, geometry.width)


def class_scores(
    mask_logits: Tensor, class_probs: Tensor, geometry: Geometry, resize_scores: bool
) -> Tensor:
    """float64 [K, H, W]."""
    if not resize_scores:
        probs = at_output(mask_logits, geometry).sigmoid()
        return torch.einsum("qk,qhw->khw", class_probs.double(), probs)
    scores = torch.einsum(
        "qk,qhw->khw", class_probs.double(), at_network(mask_logits, geometry).sigmoid()
    )
    return resize(scores, geometry.height, geometry.width)


class Panoptic(NamedTuple):
    """What panoptic_merge returns, as plain lists but for the map."""

    segment_ids: Tensor
    classes: list[int]
    scores: list[float]
    areas: list[int]
    boxes: list[list[int]]
    queries: list[int]


def box_of(mask: Tensor) -> list[int]:
    """x, y, width, height of a bool [H, W] that is not empty."""
    y, x = mask.nonzero(as_tuple=True)
    left, top = int(x.min()), int(y.min())
    return [left, top, int(x.max()) - left + 1, int(y.max()) - top + 1]


def panoptic(
    mask_logits: Tensor,
    scores: Tensor,
    labels: Tensor,
    thing: Tensor,
    geometry: Geometry,
    thresholds: tuple[float, float],
) -> Panoptic:
    """The three areas of every query, in index order, with stuff merged."""
    probs = at_output(mask_logits, geometry).sigmoid()
    object_mask, overlap = thresholds
    segment_ids = torch.zeros(geometry.height, geometry.width, dtype=torch.int32)
    kept = [
        q for q in range(len(labels)) if labels[q] != len(thing) and float(scores[q]) > object_mask
    ]
    if not kept:
        return Panoptic(segment_ids, [], [], [], [], [])
    weighted = torch.stack([float(scores[q]) * probs[q] for q in kept])
    winner = weighted.argmax(0)
    classes: list[int] = []
    best: list[float] = []
    queries: list[int] = []
    stuff: dict[int, int] = {}
    for position, q in enumerate(kept):
        won = winner == position
        covered = probs[q] >= 0.5
        final = won & covered
        if min(int(won.sum()), int(covered.sum()), int(final.sum())) == 0:
            continue
        if int(won.sum()) / int(covered.sum()) < overlap:
            continue
        label = int(labels[q])
        if not bool(thing[label]) and label in stuff:
            segment = stuff[label]
            best[segment - 1] = max(best[segment - 1], float(scores[q]))
        else:
            classes.append(label)
            best.append(float(scores[q]))
            queries.append(q)
            segment = len(classes)
            stuff.setdefault(label, segment)
        segment_ids[final] = segment
    masks = [segment_ids == i + 1 for i in range(len(classes))]
    areas = [int(mask.sum()) for mask in masks]
    boxes = [box_of(mask) for mask in masks]
    return Panoptic(segment_ids, classes, best, areas, boxes, queries)


def run_lengths(mask: Tensor) -> list[int]:
    """COCO run lengths of [H, W]: down the columns, zeros first."""
    counts, current, run = [], False, 0
    for inside in mask.bool().T.flatten().tolist():
        if inside != current:
            counts.append(run)
            current, run = inside, 0
        run += 1
    return [*counts, run]


class Instance(NamedTuple):
    """One row of what select_instances returns."""

    label: int
    score: float
    area: int
    box: list[int]
    counts: list[int]


def instances(
    mask_logits: Tensor,
    class_probs: Tensor,
    thing: Tensor,
    geometry: Geometry,
    top_k: int,
    things_only: bool,
) -> list[Instance]:
    """Best first; top_k before stuff is dropped."""
    logits = at_output(mask_logits, geometry)
    classes = class_probs.shape[1]
    flat = class_probs.flatten().tolist()
    order = sorted(range(len(flat)), key=lambda i: -flat[i])[:top_k]
    found = []
    for i in order:
        query, label = divmod(i, classes)
        mask = logits[query] > 0
        if (things_only and not bool(thing[label])) or not bool(mask.any()):
            continue
        area = int(mask.sum())
        mean = float(logits[query].sigmoid()[mask].sum()) / (area + 1e-6)
        found.append(Instance(label, flat[i] * mean, area, box_of(mask), run_lengths(mask)))
    return sorted(found, key=lambda instance: -instance.score)


def deformable_attention(
    value: Tensor,
    spatial_shapes: list[int],
    reference_points: Tensor,
    sampling_offsets: Tensor,
    attention_logits: Tensor,
) -> Tensor:
    """One sample at a time: float64 [B, Lq, M * Dh]."""
    batch, _, heads, head_width = value.shape
    queries, levels, points = (sampling_offsets.shape[i] for i in (1, 3, 4))
    weights = attention_logits.double().softmax(-1)
    out = torch.zeros(batch, queries, heads, head_width, dtype=torch.float64)
    for b in range(batch):
        for q in range(queries):
            for m in range(heads):
                first = 0
                for level in range(levels):
                    height, width = spatial_shapes[2 * level : 2 * level + 2]
                    tokens = value[b, first : first + height * width, m].double()
                    plane = tokens.view(height, width, head_width)
                    first += height * width
                    for p in range(points):
                        dx, dy = sampling_offsets[b, q, m, level, p].tolist()
                        x = float(reference_points[q, 0]) * width + dx - 0.5
                        y = float(reference_points[q, 1]) * height + dy - 0.5
                        weight = weights[b, q, m, level * points + p]
                        out[b, q, m] += weight * _bilinear(plane, x, y)
    return out.flatten(2)


def _bilinear(plane: Tensor, x: float, y: float) -> Tensor:
    """plane [height, width, D] at a point, zeros outside."""
    height, width, _ = plane.shape
    total = torch.zeros(plane.shape[2], dtype=torch.float64)
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[row, column]
    return total
