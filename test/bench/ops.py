"""Times every operator beside the same result composed of ATen's own operators.

    python test/bench/ops.py [--threads 2] [--repeat 5] [--only label_map]

Milliseconds are the least of several calls. The composition of label_map and panoptic_merge needs
masks or scores at full size; what it cannot hold in 8 GB is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models"))

from lexiseg_models.ops import load_ops

QUERIES = 250
SIZE = 1024
GEOMETRY = [SIZE] * 6
LEVELS = [25, 25, 50, 50, 100, 100]
COMPOSITION_LIMIT = 8 << 30


class Row(NamedTuple):
    """One line of the table; the composition is missing where it does not fit."""

    name: str
    ours: Callable[[], object]
    composed: Callable[[], object] | None


def masks(kind: str) -> Tensor:
    """[Q, SIZE / 4, SIZE / 4] logits: noise, where nothing can be left out, or discs."""
    side = SIZE // 4
    noise = torch.randn(QUERIES, side, side)
    if kind == "noise":
        return 3 * noise
    y, x = torch.meshgrid(torch.arange(side) / side, torch.arange(side) / side, indexing="ij")
    centres, radii = torch.rand(QUERIES, 2), torch.rand(QUERIES) * 0.25 + 0.03
    away = (y - centres[:, :1, None]).square() + (x - centres[:, 1:, None]).square()
    return (radii[:, None, None] - away.sqrt()) * 60 + 0.3 * noise


def class_probs(classes: int, sharpness: float) -> Tensor:
    """[Q, K + 1], void last."""
    return (sharpness * torch.randn(QUERIES, classes + 1)).softmax(-1)


def resized(logits: Tensor) -> Tensor:
    """[Q, SIZE, SIZE] probabilities."""
    return F.interpolate(logits[None], (SIZE, SIZE), mode="bilinear")[0].sigmoid()


def composed_labels(logits: Tensor, probs: Tensor) -> Tensor:
    """Class scores at full size, then the largest."""
    return torch.einsum("qk,qhw->khw", probs, resized(logits)).max(0).indices


def composed_panoptic(logits: Tensor, scores: Tensor) -> Tensor:
    """The winner of every pixel and the areas, as the published code finds them."""
    probs = resized(logits)
    winner = (scores[:, None, None] * probs).argmax(0)
    covered = probs >= 0.5
    ids = torch.zeros(SIZE, SIZE, dtype=torch.int32)
    for query in range(QUERIES):
        mask = winner == query
        final = mask & covered[query]
        won, whole = int(mask.sum()), int(covered[query].sum())
        if won > 0 and whole > 0 and won / whole >= 0.8:
            ids[final] = query + 1
    return ids


def composed_instances(logits: Tensor, probs: Tensor) -> Tensor:
    """Scores of the masks of the top hundred; run lengths not included."""
    query = probs.flatten().topk(100).indices // probs.shape[1]
    chosen = F.interpolate(logits[None], (SIZE, SIZE), mode="bilinear")[0][query]
    inside = (chosen > 0).float()
    return (chosen.sigmoid() * inside).flatten(1).sum(1) / (inside.flatten(1).sum(1) + 1e-6)


def attention_inputs(dtype: torch.dtype) -> tuple[Tensor, list[int], Tensor, Tensor, Tensor]:
    """The largest call of a pixel decoder at 800 x 800: 13,125 tokens, 8 heads, 4 points."""
    sizes = list(zip(LEVELS[::2], LEVELS[1::2], strict=True))
    places = [
        torch.stack(
            torch.meshgrid((torch.arange(h) + 0.5) / h, (torch.arange(w) + 0.5) / w, indexing="ij")[
                ::-1
            ],
            dim=-1,
        ).view(-1, 2)
        for h, w in sizes
    ]
    reference = torch.cat(places)
    tokens = len(reference)
    return (
        torch.randn(1, tokens, 8, 32).to(dtype),
        LEVELS,
        reference,
        (3 * torch.randn(1, tokens, 8, 3, 4, 2)).to(dtype),
        torch.randn(1, tokens, 8, 12).to(dtype),
    )


def composed_attention(
    value: Tensor, shapes: list[int], reference: Tensor, offsets: Tensor, logits: Tensor
) -> Tensor:
    """grid_sample level by level, in float32."""
    batch, _, heads, width = value.shape
    queries, levels, points = (offsets.shape[i] for i in (1, 3, 4))
    weights = logits.float().softmax(-1).view(batch, queries, heads, levels, points)
    total = torch.zeros(batch, queries, heads, width)
    first = 0
    for level, (h, w) in enumerate(zip(shapes[::2], shapes[1::2], strict=True)):
        plane = value[:, first : first + h * w].float().permute(0, 2, 3, 1)
        first += h * w
        place = reference[None, :, None, None] + offsets[:, :, :, level] / torch.tensor([w, h])
        grid = (2 * place - 1).permute(0, 2, 1, 3, 4).reshape(-1, queries, points, 2)
        sampled = F.grid_sample(plane.reshape(-1, width, h, w), grid.float(), align_corners=False)
        sampled = sampled.view(batch, heads, width, queries, points).permute(0, 3, 1, 4, 2)
        total += (sampled * weights[:, :, :, level, :, None]).sum(3)
    return total.flatten(2).to(value.dtype)


def learning(run: Callable[..., Tensor], *learned: Tensor) -> Callable[[], None]:
    """Forward and backward of one call."""
    leaves = [t.detach().requires_grad_() for t in learned]

    def both_ways() -> None:
        with torch.inference_mode(False), torch.enable_grad():
            run(*leaves).sum().backward()

    return both_ways


def dense_attention_rows() -> Iterator[Row]:
    """Every token of an image tower sees every other: few long sequences, and many short ones."""
    for dtype in (torch.bfloat16, torch.float32):
        for batch, heads, tokens in ((1, 12, 3137), (16, 16, 257)):
            inputs = torch.randn(3, batch, tokens, heads, 64).to(dtype).transpose(2, 3)
            yield Row(
                f"attention {str(dtype)[6:]}, {batch} x {tokens} tokens",
                lambda t=inputs: torch.ops.lexiseg.attention(*t),
                lambda t=inputs: F.scaled_dot_product_attention(*t),
            )


def attention_rows() -> Iterator[Row]:
    """Forward in both dtypes, and training."""
    ours = torch.ops.lexiseg.ms_deform_attn
    for dtype in (torch.bfloat16, torch.float32):
        inputs = attention_inputs(dtype)
        yield Row(
            f"ms_deform_attn {str(dtype)[6:]}",
            lambda i=inputs: ours(*i),
            lambda i=inputs: composed_attention(*i),
        )
    value, shapes, reference, *sampled = inputs
    yield Row(
        "ms_deform_attn float32, backward too",
        learning(lambda v, *s: ours(v, shapes, reference, *s), value, *sampled),
        learning(lambda v, *s: composed_attention(v, shapes, reference, *s), value, *sampled),
    )


def depthwise_rows() -> Iterator[Row]:
    """Backward too: the first and the third stage of ConvNeXt-B, 9 images of 384 pixels."""
    for dtype in (torch.bfloat16, torch.float32):
        for width, side in ((128, 96), (512, 24)):
            x = torch.randn(9, width, side, side).to(dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            parts = (x, torch.randn(width, 1, 7, 7).to(dtype), torch.randn(width).to(dtype))
            yield Row(
                f"depthwise_conv {str(dtype)[6:]}, {width} x {side} x {side}",
                learning(torch.ops.lexiseg.depthwise_conv, *parts),
                learning(lambda *p: F.conv2d(*p, padding=3, groups=p[1].shape[0]), *parts),
            )


def mask_rows() -> Iterator[Row]:
    """What is made of masks, for noise and for discs."""
    ops = torch.ops.lexiseg
    for kind, sharpness in (("noise", 1.0), ("discs", 8.0)):
        logits = masks(kind)
        for classes in (150, 847):
            probs = class_probs(classes, sharpness)[:, :-1].contiguous()
            fits = (classes + QUERIES) * SIZE * SIZE * 4 < COMPOSITION_LIMIT
            yield Row(
                f"label_map {classes} classes, {kind}",
                lambda m=logits, p=probs: ops.label_map(m, p, GEOMETRY, False),
                (lambda m=logits, p=probs: composed_labels(m, p)) if fits else None,
            )
        scores, labels = class_probs(150, sharpness)[:, :-1].max(1)
        thing = torch.arange(150) % 2 == 0
        yield Row(
            f"panoptic_merge, {kind}",
            lambda m=logits, s=scores, c=labels, t=thing: ops.panoptic_merge(
                m, s, c, t, GEOMETRY, 0.0, 0.8
            ),
            lambda m=logits, s=scores: composed_panoptic(m, s),
        )
        probs = class_probs(150, sharpness)[:, :-1].contiguous()
        yield Row(
            f"select_instances, {kind}",
            lambda m=logits, p=probs, t=thing: ops.select_instances(m, p, t, GEOMETRY, 100, False),
            lambda m=logits, p=probs: composed_instances(m, p),
        )


def composed_pooling(features: Tensor, logits: Tensor) -> Tensor:
    """A matrix product with the binary masks."""
    inside = (logits > 0).flatten(2)
    total = torch.bmm(inside.to(features.dtype), features.flatten(2).transpose(1, 2))
    return total.float() / (inside.sum(2, keepdim=True) + 1e-8)


def pooling_rows() -> Iterator[Row]:
    """Mean features under masks, at stride 4."""
    for kind in ("noise", "discs"):
        logits = masks(kind)[None]
        for dtype in (torch.bfloat16, torch.float32):
            features = torch.randn(1, 256, SIZE // 4, SIZE // 4).to(dtype)
            yield Row(
                f"mask_pooling {str(dtype)[6:]}, {kind}",
                lambda f=features, m=logits: torch.ops.lexiseg.mask_pooling(f, m),
                lambda f=features, m=logits: composed_pooling(f, m),
            )


def norm_rows() -> Iterator[Row]:
    """The tokens of a pixel decoder, with the branch that is added to them."""
    for dtype in (torch.float32, torch.bfloat16):
        x, branch = torch.randn(2, 8400, 256).to(dtype)
        weight, bias = torch.randn(2, 256).to(dtype)
        yield Row(
            f"layer_norm {str(dtype)[6:]}",
            lambda t=(x, weight, bias, branch): torch.ops.lexiseg.layer_norm(*t[:3], 1e-5, t[3]),
            lambda t=(x, weight, bias, branch): F.layer_norm(t[0] + t[3], [256], *t[1:3]),
        )


def other_rows() -> Iterator[Row]:
    """Run lengths and assignment, which ATen has no operators for."""
    ops = torch.ops.lexiseg
    inside = F.interpolate(masks("discs")[None, :16], (SIZE, SIZE), mode="bilinear")[0] > 0
    counts, offsets = ops.rle_encode(inside)
    cost = torch.rand(QUERIES, 100)
    yield Row("rle_encode 16 masks", lambda: ops.rle_encode(inside), None)
    yield Row("rle_decode 16 masks", lambda: ops.rle_decode(counts, offsets, SIZE, SIZE), None)
    yield Row("linear_sum_assignment 250 x 100", lambda: ops.linear_sum_assignment(cost), None)


def milliseconds(run: Callable[[], object], repeat: int) -> float:
    """The least of `repeat` calls after one that warms up."""
    run()
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)


def main() -> None:
    """Prints the table, a line as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    arguments = parser.parse_args()
    load_ops()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{QUERIES} queries, {SIZE} x {SIZE} pixels, {arguments.threads} threads, milliseconds")
    print(f"{'operator':40} {'ours':>9} {'composed':>9} {'ratio':>7}")
    attention = (dense_attention_rows, attention_rows)
    kinds = (*attention, depthwise_rows, norm_rows, mask_rows, pooling_rows, other_rows)
    for rows in kinds:
        for row in rows():
            if arguments.only not in row.name:
                continue
            with torch.inference_mode():
                ours = milliseconds(row.ours, arguments.repeat)
                composed = row.composed and milliseconds(row.composed, 1)
            ratio = f"{composed:9.1f} {composed / ours:6.1f}x" if composed else f"{'-':>9}"
            print(f"{row.name:40} {ours:9.1f} {ratio}", flush=True)


if __name__ == "__main__":
    main()
