"""MaskFormer's head with the published names: a plain pyramid and a plain decoder."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class NormedConv(nn.Conv2d):
    """A convolution that carries its norm, as detectron2 names it."""

    def __init__(self, in_width: int, width: int, kernel: int, groups: int) -> None:
        """No bias."""
        super().__init__(in_width, width, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(groups, width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [1, Cin, h, w] → [1, C, h, w], without activation."""
        return self.norm(super().forward(x))


class PixelDecoder(nn.Module):
    """`sem_seg_head.pixel_decoder`."""

    def __init__(self, widths: list[int], width: int, groups: int) -> None:
        """widths: of res2 to res5."""
        super().__init__()
        for i in range(1, 4):
            self.add_module(f"adapter_{i}", NormedConv(widths[i - 1], width, 1, groups))
            self.add_module(f"layer_{i}", NormedConv(width, width, 3, groups))
        self.layer_4 = NormedConv(widths[3], width, 3, groups)
        self.mask_features = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """features: res2 to res5 → mask features [1, width, H/4, W/4]."""
        y = functional.relu(self.layer_4(features[3]))
        for i in (3, 2, 1):
            lateral = getattr(self, f"adapter_{i}")(features[i - 1])
            height, width = lateral.shape[-2:]
            rows = torch.arange(height) * y.shape[-2] // height
            columns = torch.arange(width) * y.shape[-1] // width
            y = functional.relu(getattr(self, f"layer_{i}")(lateral + y[:, :, rows][..., columns]))
        return self.mask_features(y)


def sine_code(height: int, width: int, channels: int) -> Tensor:
    """float [H·W, channels]: y in the first half, x in the second, sines and cosines in turn."""
    code = torch.zeros(height, width, channels)
    half = channels // 2
    for c in range(half):
        wavelength = 10000 ** (2 * (c // 2) / half)
        wave = math.cos if c % 2 else math.sin
        for i in range(height):
            code[i, :, c] = wave((i + 1) / (height + 1e-6) * 2 * math.pi / wavelength)
        for j in range(width):
            code[:, j, half + c] = wave((j + 1) / (width + 1e-6) * 2 * math.pi / wavelength)
    return code.view(height * width, channels)


class DecoderLayer(nn.Module):
    """DETR's layer with the norms behind."""

    def __init__(self, width: int, heads: int, feed_forward: int) -> None:
        """Keeps the published names."""
        super().__init__()
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.multihead_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.linear1 = nn.Linear(width, feed_forward)
        self.linear2 = nn.Linear(feed_forward, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, target: Tensor, query: Tensor, memory: Tensor, code: Tensor) -> Tensor:
        """target: [1, Q, C], query: [Q, C], memory: [1, S, C], code: [S, C] → [1, Q, C]."""
        placed = target + query
        target = self.norm1(target + self.self_attn(placed, placed, target)[0])
        seen = self.multihead_attn(target + query, memory + code, memory)[0]
        target = self.norm2(target + seen)
        return self.norm3(target + self.linear2(functional.relu(self.linear1(target))))


class Layers(nn.Module):
    """An MLP whose parts are called layers."""

    def __init__(self, widths: list[int]) -> None:
        """widths: of input, hidden layers and output."""
        super().__init__()
        pairs = zip(widths, widths[1:], strict=False)
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairs])

    def forward(self, x: Tensor) -> Tensor:
        """x: […, widths[0]] → […, widths[-1]], ReLU between."""
        for layer in self.layers[:-1]:
            x = functional.relu(layer(x))
        return self.layers[-1](x)


class Decoder(nn.Module):
    """`transformer.decoder`."""

    def __init__(self, width: int, heads: int, layers: int, feed_forward: int) -> None:
        """Builds the layers."""
        super().__init__()
        self.layers = nn.ModuleList(
            [DecoderLayer(width, heads, feed_forward) for _ in range(layers)]
        )
        self.norm = nn.LayerNorm(width)


class Transformer(nn.Module):
    """`transformer`, which has no encoder."""

    def __init__(self, width: int, heads: int, layers: int, feed_forward: int) -> None:
        """Keeps the published name."""
        super().__init__()
        self.decoder = Decoder(width, heads, layers, feed_forward)


class Predictor(nn.Module):
    """`sem_seg_head.predictor`."""

    def __init__(self, in_width: int, embed_dim: int, sizes: dict[str, int]) -> None:
        """sizes: queries, width, heads, layers, feed_forward, class_width."""
        super().__init__()
        width = sizes["width"]
        self.transformer = Transformer(
            width, sizes["heads"], sizes["layers"], sizes["feed_forward"]
        )
        self.query_embed = nn.Embedding(sizes["queries"], width)
        self.input_proj = nn.Conv2d(in_width, width, 1)
        self.class_embed = Layers([width, sizes["class_width"], embed_dim])
        self.mask_embed = Layers([width, width, width, width])

    def forward(self, coarsest: Tensor, mask_features: Tensor) -> tuple[Tensor, Tensor]:
        """→ mask logits [Q, h, w] and class embeddings [Q, D], not normalised."""
        memory = self.input_proj(coarsest)
        code = sine_code(memory.shape[2], memory.shape[3], memory.shape[1])
        memory = memory.flatten(2).transpose(1, 2)
        target = torch.zeros(1, *self.query_embed.weight.shape)
        for layer in self.transformer.decoder.layers:
            target = layer(target, self.query_embed.weight, memory, code)
        target = self.transformer.decoder.norm(target)[0]
        masks = torch.einsum("qc,chw->qhw", self.mask_embed(target), mask_features[0])
        return masks, self.class_embed(target)
