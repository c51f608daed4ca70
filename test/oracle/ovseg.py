"""OVSeg with the published names, as the specification tells it, one region at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from .clip import TextBlock, TextTransformer
from .config import PIXEL_MEAN, PIXEL_STD, TextConfig
from .deeplab_resnet import DeepLabResNet
from .maskformer import PixelDecoder, Predictor
from .swin import Swin

MASKFORMER_MEAN = (123.675, 116.28, 103.53)
MASKFORMER_STD = (58.395, 57.12, 57.375)
RESNET_WIDTH, RESNET_STEM = 8, 16


@dataclass(frozen=True)
class OvsegSizes:
    """Everything that fixes the network."""

    embed_dim: int = 48
    text: TextConfig = field(
        default_factory=lambda: TextConfig(width=32, heads=2, layers=2, quick_gelu=True)
    )
    patch: int = 8
    grid: int = 4
    width: int = 40
    heads: int = 2
    layers: int = 4
    prompt_depth: int = 3
    resnet: bool = False
    resnet_blocks: tuple[int, ...] = (1, 2, 1, 3)
    swin_width: int = 16
    swin_depths: tuple[int, ...] = (2, 2, 3, 2)
    swin_heads: tuple[int, ...] = (1, 2, 4, 4)
    window: int = 4
    decoder: tuple[tuple[str, int], ...] = (
        ("queries", 14),
        ("width", 32),
        ("heads", 4),
        ("layers", 3),
        ("feed_forward", 48),
        ("class_width", 56),
    )
    groups: int = 8
    shortest_edge: int = 96
    longest_edge: int = 200
    threshold: float = 0.4
    clip_weight: float = 0.7


class Visual(nn.Module):
    """`clip_adapter.clip_model.visual`."""

    def __init__(self, sizes: OvsegSizes) -> None:
        """Keeps the published names."""
        super().__init__()
        width, cells = sizes.width, sizes.grid**2
        self.sizes = sizes
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(cells + 1, width))
        self.conv1 = nn.Conv2d(3, width, sizes.patch, stride=sizes.patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = TextTransformer(TextConfig(width, sizes.heads, 0, True))
        self.transformer.resblocks = nn.ModuleList(
            [TextBlock(TextConfig(width, sizes.heads, 1, True)) for _ in range(sizes.layers)]
        )
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, sizes.embed_dim))
        self.mask_embedding = nn.Parameter(torch.zeros(sizes.prompt_depth, cells, width))

    def forward(self, region: Tensor, mask: Tensor) -> Tensor:
        """region: [3, S, S], mask: float [S, S] of 0 and 1 → [D], not normalised."""
        sizes = self.sizes
        tokens = self.conv1(region[None])[0].flatten(1).T
        shown = torch.zeros(sizes.grid**2, dtype=torch.bool)
        for cell in range(sizes.grid**2):
            y, x = cell // sizes.grid * sizes.patch, cell % sizes.grid * sizes.patch
            shown[cell] = (
                math.ceil(float(mask[y : y + sizes.patch, x : x + sizes.patch].mean())) > 0
            )
        tokens = torch.where(shown[:, None], tokens, self.mask_embedding[0])
        tokens = torch.cat((self.class_embedding[None], tokens)) + self.positional_embedding
        tokens = self.ln_pre(tokens)[None]
        free = torch.zeros(tokens.shape[1], tokens.shape[1])
        for depth, block in enumerate(self.transformer.resblocks, start=1):
            tokens = block(tokens, free)
            if depth < sizes.prompt_depth:
                replaced = torch.where(shown[:, None], tokens[0, 1:], self.mask_embedding[depth])
                tokens = torch.cat((tokens[0, :1], replaced))[None]
        return self.ln_post(tokens[0, 0]) @ self.proj


class AdaptedClip(nn.Module):
    """`clip_adapter.clip_model`."""

    def __init__(self, sizes: OvsegSizes) -> None:
        """Both towers."""
        super().__init__()
        text = sizes.text
        self.visual = Visual(sizes)
        self.token_embedding = nn.Embedding(text.vocab_size, text.width)
        self.positional_embedding = nn.Parameter(torch.zeros(text.context_length, text.width))
        self.transformer = TextTransformer(text)
        self.ln_final = nn.LayerNorm(text.width)
        self.text_projection = nn.Parameter(torch.zeros(text.width, sizes.embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(4.6))

    def encode_text(self, token_ids: Tensor) -> Tensor:
        """token_ids: int64 [N, L] → unit text embeddings [N, D]."""
        x = self.token_embedding(token_ids) + self.positional_embedding[: token_ids.shape[1]]
        x = self.ln_final(self.transformer(x))
        ends = x[torch.arange(x.shape[0]), token_ids.argmax(dim=-1)]
        return functional.normalize(ends @ self.text_projection, dim=-1)


class Adapter(nn.Module):
    """`clip_adapter`."""

    def __init__(self, sizes: OvsegSizes) -> None:
        """With the buffers that published files carry."""
        super().__init__()
        self.clip_model = AdaptedClip(sizes)
        self.non_object_embedding = nn.Parameter(torch.zeros(1, sizes.embed_dim))
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1))
        self.register_buffer("pixel_std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1))


class Head(nn.Module):
    """`sem_seg_head`."""

    def __init__(self, sizes: OvsegSizes) -> None:
        """Pixel decoder and predictor."""
        super().__init__()
        widths = [4 * RESNET_WIDTH * 2**i for i in range(4)]
        if not sizes.resnet:
            widths = [sizes.swin_width * 2**i for i in range(4)]
        decoder = dict(sizes.decoder)
        self.pixel_decoder = PixelDecoder(widths, decoder["width"], sizes.groups)
        self.predictor = Predictor(widths[3], sizes.embed_dim, decoder)


class OvsegOracle(nn.Module):
    """The whole published model."""

    def __init__(self, sizes: OvsegSizes) -> None:
        """Zeros and defaults; `randomise` gives it values."""
        super().__init__()
        self.sizes = sizes
        self.backbone: nn.Module = DeepLabResNet(sizes.resnet_blocks, RESNET_WIDTH, RESNET_STEM)
        if not sizes.resnet:
            self.backbone = Swin(
                sizes.swin_width, list(sizes.swin_depths), list(sizes.swin_heads), sizes.window
            )
        self.sem_seg_head = Head(sizes)
        self.clip_adapter = Adapter(sizes)

    def randomise(self, seed: int) -> None:
        """Values that make masks of different sizes, some of them empty."""
        generator = torch.Generator().manual_seed(seed)
        for name, buffer in self.backbone.named_buffers():
            if buffer.is_floating_point():
                value = torch.rand(buffer.shape, generator=generator)
                buffer.copy_(0.5 + value if "var" in name or "weight" in name else 0.3 * value)
        for name, parameter in self.named_parameters():
            value = torch.randn(parameter.shape, generator=generator)
            with torch.no_grad():
                if parameter.dim() > 1:
                    fan_in = parameter[0].numel() if "embed" not in name else 4
                    parameter.copy_(value * fan_in**-0.5)
                elif "norm" in name and name.endswith("weight") or ".ln_" in name:
                    parameter.copy_(1.0 + 0.1 * value if name.endswith("weight") else 0.1 * value)
                else:
                    parameter.copy_(0.2 * value)
        features = self.sem_seg_head.pixel_decoder.mask_features
        with torch.no_grad():
            self.clip_adapter.clip_model.logit_scale.fill_(4.6)
            # Logits of a few units, and one channel that lifts or lowers whole masks.
            features.weight.mul_(0.1)
            features.weight[0].zero_()
            features.bias[0] = 1.0
            # Queries that say different things.
            self.sem_seg_head.predictor.query_embed.weight.mul_(6.0)

    def resized(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] by the shortest-edge rule."""
        height, width, _ = picture.shape
        scale = self.sizes.shortest_edge / min(height, width)
        scale = min(scale, self.sizes.longest_edge / max(height, width))
        size = (int(width * scale + 0.5), int(height * scale + 0.5))
        return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))

    @torch.no_grad()
    def scores(self, picture: NDArray[np.uint8], texts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """picture: uint8 [H, W, 3], texts: [K, D] → mask logits, p [Q, K], labels [H, W]."""
        pixels = torch.from_numpy(self.resized(picture).astype("float32")).permute(2, 0, 1)
        height, width = pixels.shape[1:]
        mean, std = torch.tensor(MASKFORMER_MEAN), torch.tensor(MASKFORMER_STD)
        image = (pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        padded = functional.pad(image, (0, -width % 32, 0, -height % 32))[None]
        features = self.backbone(padded)
        mask_features = self.sem_seg_head.pixel_decoder(features)
        logits, own = self.sem_seg_head.predictor(features[3], mask_features)
        full = functional.interpolate(
            logits[None], size=padded.shape[2:], mode="bilinear", align_corners=False
        )[0]
        probabilities = full[:, :height, :width].sigmoid()
        classes = torch.stack(
            [self.fused(pixels, probabilities[q], own[q], texts) for q in range(len(own))]
        )
        score = torch.einsum("qk,qhw->khw", classes, probabilities)
        labels = functional.interpolate(
            score[None], size=picture.shape[:2], mode="bilinear", align_corners=False
        )[0].argmax(0)
        return logits, classes, labels

    def fused(self, pixels: Tensor, probability: Tensor, own: Tensor, texts: Tensor) -> Tensor:
        """p [K] of one proposal."""
        void = functional.normalize(self.clip_adapter.non_object_embedding, dim=1)
        own = functional.normalize(own, dim=0)
        known = (100.0 * torch.cat((texts, void)) @ own).softmax(0)[:-1]
        weight = self.sizes.clip_weight
        inside = probability > self.sizes.threshold
        if not inside.any():
            return known ** (1 - weight)
        region = self.region(pixels, inside)
        embedding = functional.normalize(self.clip_adapter.clip_model.visual(*region), dim=0)
        return known ** (1 - weight) * (100.0 * texts @ embedding).softmax(0) ** weight

    def region(self, pixels: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """The crop [3, S, S], CLIP-normalised, and its mask [S, S]."""
        side = self.sizes.patch * self.sizes.grid
        ys, xs = torch.nonzero(inside, as_tuple=True)
        rows = slice(int(ys.min()), int(ys.max()) + 1)
        columns = slice(int(xs.min()), int(xs.max()) + 1)
        mean = torch.tensor(PIXEL_MEAN).view(3, 1, 1)
        mask = inside[rows, columns].float()
        blanked = pixels[:, rows, columns] * mask + mean * (1 - mask)
        normalised = (blanked - mean) / torch.tensor(PIXEL_STD).view(3, 1, 1)
        crop = functional.interpolate(
            normalised[None], size=(side, side), mode="bicubic", align_corners=False
        )[0]
        nearest = functional.interpolate(mask[None, None], size=(side, side), mode="nearest")
        return crop, nearest[0, 0]
