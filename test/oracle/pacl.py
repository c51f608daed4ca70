"""PACL on a CLIP with OpenAI's names, as the specification tells it, one patch at a time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from .clip import TextBlock, TextTransformer
from .config import PIXEL_MEAN, PIXEL_STD, TextConfig


@dataclass(frozen=True)
class PaclSizes:
    """Everything that fixes the network."""

    embed_dim: int = 48
    text: TextConfig = field(
        default_factory=lambda: TextConfig(width=32, heads=2, layers=2, quick_gelu=True)
    )
    patch: int = 8
    grid: int = 7
    width: int = 40
    heads: int = 2
    layers: int = 3
    stride: int = 4
    edge: int = 56
    sharpness: float = 10.0


class Visual(nn.Module):
    """`visual` of a published CLIP."""

    def __init__(self, sizes: PaclSizes) -> None:
        """Keeps the published names."""
        super().__init__()
        width = sizes.width
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(sizes.grid**2 + 1, width))
        self.conv1 = nn.Conv2d(3, width, sizes.patch, stride=sizes.patch, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = TextTransformer(TextConfig(width, sizes.heads, 0, True))
        self.transformer.resblocks = nn.ModuleList(
            [TextBlock(TextConfig(width, sizes.heads, 1, True)) for _ in range(sizes.layers)]
        )
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, sizes.embed_dim))


class PaclClip(nn.Module):
    """A CLIP as OpenAI published it."""

    def __init__(self, sizes: PaclSizes) -> None:
        """Both towers; `randomise` gives them values."""
        super().__init__()
        self.sizes = sizes
        text = sizes.text
        self.visual = Visual(sizes)
        self.token_embedding = nn.Embedding(text.vocab_size, text.width)
        self.positional_embedding = nn.Parameter(torch.zeros(text.context_length, text.width))
        self.transformer = TextTransformer(text)
        self.ln_final = nn.LayerNorm(text.width)
        self.text_projection = nn.Parameter(torch.zeros(text.width, sizes.embed_dim))
        self.logit_scale = nn.Parameter(torch.tensor(3.0))

    def randomise(self, seed: int) -> None:
        """Values of ordinary size."""
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            value = torch.randn(parameter.shape, generator=generator)
            with torch.no_grad():
                if name == "logit_scale":
                    continue
                if parameter.dim() > 1:
                    fan_in = parameter[0].numel() if "embed" not in name else 2
                    parameter.copy_(value * fan_in**-0.5)
                elif "ln_" in name and name.endswith("weight"):
                    parameter.copy_(1.0 + 0.1 * value)
                else:
                    parameter.copy_(0.2 * value)

    @torch.no_grad()
    def encode_text(self, token_ids: Tensor) -> Tensor:
        """token_ids: int64 [N, L] → unit text embeddings [N, D]."""
        x = self.token_embedding(token_ids) + self.positional_embedding[: token_ids.shape[1]]
        x = self.ln_final(self.transformer(x))
        ends = x[torch.arange(x.shape[0]), token_ids.argmax(dim=-1)]
        return functional.normalize(ends @ self.text_projection, dim=-1)

    def positions(self, rows: int, columns: int) -> Tensor:
        """[1 + rows · columns, width], resampled as open_clip does."""
        table, grid = self.visual.positional_embedding, self.sizes.grid
        if rows == columns == grid:
            return table
        square = table[1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
        resized = functional.interpolate(
            square, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False
        )
        return torch.cat((table[:1], resized[0].flatten(1).T))

    @torch.no_grad()
    def tokens(self, image: Tensor, stride: int) -> Tensor:
        """image: normalised [3, H, W] → patch tokens after the last norm, [h, w, width]."""
        patch, visual = self.sizes.patch, self.visual
        rows = 1 + (image.shape[1] - patch) // stride
        columns = 1 + (image.shape[2] - patch) // stride
        kernel = visual.conv1.weight.flatten(1)
        cells = [
            kernel @ image[:, y : y + patch, x : x + patch].flatten()
            for y in range(0, rows * stride, stride)
            for x in range(0, columns * stride, stride)
        ]
        x = torch.stack([visual.class_embedding, *cells]) + self.positions(rows, columns)
        x = visual.ln_pre(x)[None]
        free = torch.zeros(x.shape[1], x.shape[1])
        for block in visual.transformer.resblocks:
            x = block(x, free)
        return visual.ln_post(x[0, 1:]).reshape(rows, columns, -1)


@dataclass(frozen=True)
class Embedder:
    """The vision embedder: two layers with a ReLU, and a linear way around them."""

    weights: dict[str, Tensor]

    def __call__(self, tokens: Tensor) -> Tensor:
        """tokens: […, width] → […, D]."""

        def layer(name: str, x: Tensor) -> Tensor:
            return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

        return layer("project", functional.relu(layer("expand", tokens))) + layer(
            "shortcut", tokens
        )


def network_input(picture: NDArray[np.uint8], edge: int) -> Tensor:
    """The resized image as the tower sees it, [3, H, W]."""
    height, width, _ = picture.shape
    scale = edge / min(height, width)
    size = (int(width * scale + 0.5), int(height * scale + 0.5))
    resized = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
    image = torch.from_numpy(resized.astype("float32")).permute(2, 0, 1)
    return (image - torch.tensor(PIXEL_MEAN).view(3, 1, 1)) / torch.tensor(PIXEL_STD).view(3, 1, 1)


def at_pixels(maps: Tensor, sizes: PaclSizes, valid: list[int], output: list[int]) -> Tensor:
    """Read where the pixels of an output have their centres.

    maps: [K, h, w] at patch centres; valid: height and width of the image that the network saw →
    [K, H, W].
    """

    def places(side: int, pixels: int, patches: int) -> list[tuple[int, int, float]]:
        found = []
        for i in range(pixels):
            u = ((i + 0.5) * side / pixels - sizes.patch / 2) / sizes.stride
            u = min(max(u, 0.0), patches - 1.0)
            low = int(u)
            found.append((low, min(low + 1, patches - 1), u - low))
        return found

    rows = places(valid[0], output[0], maps.shape[1])
    columns = places(valid[1], output[1], maps.shape[2])
    out = torch.zeros(maps.shape[0], len(rows), len(columns))
    for i, (top, bottom, v) in enumerate(rows):
        for j, (left, right, u) in enumerate(columns):
            above = maps[:, top, left] * (1 - u) + maps[:, top, right] * u
            below = maps[:, bottom, left] * (1 - u) + maps[:, bottom, right] * u
            out[:, i, j] = above * (1 - v) + below * v
    return out


def compatibility(tokens: Tensor, text: Tensor, sharpness: float) -> Tensor:
    """How well an image fits a text: tokens [T, D] pooled by the text's own weights."""
    weights = (sharpness * functional.cosine_similarity(tokens, text[None], dim=1)).softmax(0)
    pooled = (weights[:, None] * tokens).sum(0)
    return functional.cosine_similarity(pooled, text, dim=0)
