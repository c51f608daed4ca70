"""The pixel decoder: initial sampling star, level order, top-down step, gradients."""

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.parts.pixel_decoder import (
    DeformableAttention,
    PixelDecoder,
    PixelDecoderConfig,
)
from lexiseg_models.parts.position_encoding import sine_position_encoding

CONFIG = PixelDecoderConfig(width=16, heads=4, points=2, layers=2, feed_forward=24, groups=4)
WIDTHS = (6, 8, 10, 12)


def pyramid(batch=1):
    torch.manual_seed(2)
    sizes = ((16, 24), (8, 12), (4, 6), (2, 3))
    return [torch.randn(batch, c, *size) for c, size in zip(WIDTHS, sizes)]


def test_offsets_start_as_a_star():
    attention = DeformableAttention(CONFIG)
    assert attention.offsets.weight.abs().max() == 0
    star = attention.offsets.bias.detach().view(4, 3, 2, 2)
    # Head 0 points right, head 1 down, head 2 left, head 3 up; point p reaches p + 1 pixels.
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    for level in range(3):
        for point in range(2):
            assert torch.allclose(star[:, level, point], directions * (point + 1), atol=1e-6)
    assert attention.logits.weight.abs().max() == 0


def slow_sampling(value, shapes, centres, offsets, logits):
    """grid_sample over each level; see Deformable DETR, eq. 3."""
    batch, _, heads, size = value.shape
    queries, points = offsets.shape[1], offsets.shape[4]
    weights = logits.softmax(-1).view(batch, queries, heads, -1, points)
    total, start = 0.0, 0
    for level in range(len(shapes) // 2):
        h, w = shapes[2 * level], shapes[2 * level + 1]
        maps = value[:, start : start + h * w].permute(0, 2, 3, 1).reshape(-1, size, h, w)
        start += h * w
        place = centres[None, :, None, None] + offsets[:, :, :, level] / torch.tensor([w, h])
        grid = (2 * place - 1).transpose(1, 2).reshape(batch * heads, queries, points, 2)
        found = F.grid_sample(maps, grid, align_corners=False)
        found = found.view(batch, heads, size, queries, points).permute(0, 3, 1, 4, 2)
        total = total + (found * weights[:, :, :, level, :, None]).sum(3)
    return total.flatten(2)


def slow_decoder(decoder, features):
    """The same decoder, written out level by level."""
    maps = [p(f) for p, f in zip(decoder.projections, reversed(features[1:]))]
    shapes = [size for x in maps for size in x.shape[2:]]
    tokens = torch.cat([x.flatten(2).transpose(1, 2) for x in maps], 1)
    position, centres = [], []
    for i, x in enumerate(maps):
        h, w = x.shape[2:]
        code = sine_position_encoding(h, w, 16, x.device)
        position.append(code + decoder.level_embedding[i])
        for y in range(h):
            centres += [((column + 0.5) / w, (y + 0.5) / h) for column in range(w)]
    position, centres = torch.cat(position), torch.tensor(centres)
    for layer in decoder.layers:
        attention = layer.attention
        query = tokens + position
        b, s = tokens.shape[:2]
        sampled = slow_sampling(
            attention.value(tokens).view(b, s, 4, 4),
            shapes,
            centres,
            attention.offsets(query).view(b, s, 4, 3, 2, 2),
            attention.logits(query).view(b, s, 4, 6),
        )
        tokens = layer.norm_attention(tokens + attention.out(sampled))
        tokens = layer.norm_mlp(tokens + layer.project(layer.expand(tokens).relu()))
    memory, start = [], 0
    for x in maps:
        count = x.shape[2] * x.shape[3]
        memory.append(tokens[:, start : start + count].transpose(1, 2).reshape(x.shape))
        start += count
    raised = F.interpolate(memory[2], scale_factor=2, mode="bilinear", align_corners=False)
    fine = decoder.output(decoder.lateral(features[0]) + raised).relu()
    return [decoder.mask_features(fine), *memory]


@pytest.mark.parametrize("batch", [1, 2])
def test_equals_the_decoder_written_out_with_grid_sample(batch):
    torch.manual_seed(0)
    decoder = PixelDecoder(CONFIG, in_widths=WIDTHS).eval()
    for layer in decoder.layers:
        torch.nn.init.normal_(layer.attention.offsets.weight, std=0.2)
        torch.nn.init.normal_(layer.attention.logits.weight, std=0.5)
    features = pyramid(batch)
    with torch.inference_mode():
        pairs = list(zip(decoder(features), slow_decoder(decoder, features), strict=True))
    assert [tuple(a.shape[2:]) for a, _ in pairs] == [(16, 24), (2, 3), (4, 6), (8, 12)]
    for actual, expected in pairs:
        assert torch.allclose(actual, expected, atol=1e-4)


def test_gradients_reach_every_parameter():
    decoder = PixelDecoder(CONFIG, in_widths=WIDTHS)
    sum(x.square().sum() for x in decoder(pyramid())).backward()
    for name, parameter in decoder.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
