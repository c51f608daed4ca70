"""Slow and obvious definitions of the ops, in float64 on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Geometry = tuple[int, int, int, int, int, int]


def bilinear_pixel(plane: Tensor, y: float, x: float) -> Tensor:
    """plane: [h, w, C]; (y, x) in pixel indices; zeros outside. Returns [C]."""
    height, width, channels = plane.shape
    top, left = math.floor(y), math.floor(x)
    total = torch.zeros(channels, dtype=plane.dtype)
    for row, row_weight in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, column_weight in ((left, 1 - (x - left)), (left + 1, x - left)):
            if 0 <= row < height and 0 <= column < width:
                total = total + row_weight * column_weight * plane[row, column]
    return total


def deformable_attention(
    value: Tensor, shapes: list[int], reference: Tensor, offsets: Tensor, logits: Tensor
) -> Tensor:
    """Loops over everything; arguments as lexiseg::ms_deform_attn. Returns float64."""
    value, reference, offsets, logits = (t.double() for t in (value, reference, offsets, logits))
    batch, _, heads, channels = value.shape
    queries, levels, points = offsets.shape[1], offsets.shape[3], offsets.shape[4]
    out = torch.zeros(batch, queries, heads, channels, dtype=torch.float64)
    for b in range(batch):
        for q in range(queries):
            for m in range(heads):
                weights = logits[b, q, m].softmax(0)
                start = 0
                for level in range(levels):
                    height, width = shapes[2 * level], shapes[2 * level + 1]
                    plane = value[b, start : start + height * width, m].view(height, width, -1)
                    start += height * width
                    for p in range(points):
                        dx, dy = offsets[b, q, m, level, p].tolist()
                        x = (reference[q, 0].item() + dx / width) * width - 0.5
                        y = (reference[q, 1].item() + dy / height) * height - 0.5
                        sample = bilinear_pixel(plane, y, x)
                        out[b, q, m] += weights[level * points + p] * sample
    return out.view(batch, queries, heads * channels)


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, half-pixel centres: [N, h, w] to [N, *size]."""
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]


def output_logits(mask_logits: Tensor, geometry: Geometry) -> Tensor:
    """Mask logits at output size, float64 [Q, H, W], by way of the network size."""
    network = resize(mask_logits.double(), geometry[:2])
    return resize(network[:, : geometry[2], : geometry[3]], geometry[4:])


def class_scores(
    mask_logits: Tensor, class_probs: Tensor, geometry: Geometry, resize_scores: bool
) -> Tensor:
    """float64 [K, H, W]."""
    if resize_scores:
        probs = resize(mask_logits.double(), geometry[:2]).sigmoid()
        scores = torch.einsum("qk,qhw->khw", class_probs.double(), probs)
        return resize(scores[:, : geometry[2], : geometry[3]], geometry[4:])
    probs = output_logits(mask_logits, geometry).sigmoid()
    return torch.einsum("qk,qhw->khw", class_probs.double(), probs)


@dataclass
class Segments:
    """segment_ids [H, W]; per segment: class, score, pixels."""

    segment_ids: Tensor
    classes: list[int]
    scores: list[float]
    areas: list[int]


def panoptic(
    mask_logits: Tensor,
    scores: Tensor,
    labels: Tensor,
    thing: Tensor,
    geometry: Geometry,
    thresholds: tuple[float, float],
) -> Segments:
    """MaskFormer's panoptic inference; thresholds: object mask, overlap."""
    probs = output_logits(mask_logits, geometry).sigmoid()
    kept = [
        q
        for q in range(len(scores))
        if labels[q] != len(thing) and scores[q].item() > thresholds[0]
    ]
    result = Segments(torch.zeros(geometry[4:], dtype=torch.int32), [], [], [])
    if not kept:
        return result
    winner = (scores[kept].double()[:, None, None] * probs[kept]).argmax(0)
    stuff: dict[int, int] = {}
    for i, q in enumerate(kept):
        won, covered = winner == i, probs[q] >= 0.5
        final = won & covered
        if not won.any() or not covered.any() or not final.any():
            continue
        if won.sum().item() / covered.sum().item() < thresholds[1]:
            continue
        label = int(labels[q])
        if not thing[label] and label in stuff:
            index = stuff[label]
            result.scores[index] = max(result.scores[index], scores[q].item())
        else:
            index = len(result.classes)
            stuff.setdefault(label, index)
            result.classes.append(label)
            result.scores.append(scores[q].item())
            result.areas.append(0)
        result.areas[index] += int(final.sum())
        result.segment_ids[final] = index + 1
    return result


def box(mask: Tensor) -> list[int]:
    """x, y, width, height of a mask that is not empty."""
    ys, xs = mask.nonzero(as_tuple=True)
    left, top = xs.min().item(), ys.min().item()
    return [left, top, xs.max().item() - left + 1, ys.max().item() - top + 1]


def run_lengths(mask: Tensor) -> list[int]:
    """COCO's: column by column, zeros first."""
    runs, inside = [0], False
    for pixel in mask.t().reshape(-1).bool().tolist():
        if pixel != inside:
            runs.append(0)
            inside = pixel
        runs[-1] += 1
    return runs


def instances(
    mask_logits: Tensor, class_probs: Tensor, thing: Tensor, geometry: Geometry, top_k: int
) -> list[tuple[float, int, Tensor]]:
    """(score, class, mask) of thing classes, best first."""
    logits = output_logits(mask_logits, geometry)
    classes = class_probs.shape[1]
    order = sorted(range(class_probs.numel()), key=lambda i: -class_probs.reshape(-1)[i].item())
    found = []
    for pair in order[:top_k]:
        query, label = divmod(pair, classes)
        mask = logits[query] > 0
        if not thing[label] or not mask.any():
            continue
        mean = logits[query].sigmoid()[mask].sum() / (mask.sum() + 1e-6)
        found.append((class_probs[query, label].item() * mean.item(), label, mask))
    return sorted(found, key=lambda entry: -entry[0])
