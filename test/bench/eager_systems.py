"""Whole systems in eager float32 PyTorch, as a process that times one image per line.

    PYTHONPATH=test python -m bench.eager_systems patches|regions|queries PICTURE CLASSES

The towers are open_clip's and timm's own modules, and the rest is the oracles': what a reader of
the papers would run. Values are random, which changes no time. Answers each line with JSON:
milliseconds of picture file to label map, and the peak resident set.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from oracle import torchvision_ops
from oracle.config import CONFIGS, PIXEL_MEAN, PIXEL_STD
from oracle.gkc import GkcOracle
from oracle.heads import semantic_scores
from oracle.maskformer import PixelDecoder, Predictor
from oracle.predictor import ClassMatrix

from .oracle_worker import THREADS, peak_rss_bytes

Segment = Callable[[str], Tensor]


def read(path: str) -> Tensor:
    """A picture file: float [3, H, W], 0 to 255."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    return torch.from_numpy(pixels.astype("float32")).permute(2, 0, 1)


def normalised(pixels: Tensor) -> Tensor:
    """By CLIP's mean and deviation."""
    mean, deviation = torch.tensor(PIXEL_MEAN), torch.tensor(PIXEL_STD)
    return (pixels - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)


def unit_rows(count: int, width: int) -> Tensor:
    """Random text embeddings [count, width]."""
    return functional.normalize(torch.randn(count, width), dim=1)


def clip_tower(name: str) -> nn.Module:
    """The image tower of open_clip, with random values."""
    torchvision_ops.define_missing_operators()
    import open_clip

    return open_clip.create_model(name, pretrained=None, force_quick_gelu=True).visual.eval()


def resized_positions(tower: nn.Module, rows: int, columns: int) -> Tensor:
    """The positional table for another grid, [1 + rows · columns, width]."""
    table = tower.positional_embedding
    side = round((len(table) - 1) ** 0.5)
    square = table[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    resized = functional.interpolate(
        square, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat((table[:1], resized[0].flatten(1).T))


class PatchEmbedder(nn.Module):
    """Two layers with a ReLU, and a linear way around them."""

    def __init__(self, width: int, out: int) -> None:
        """Random values."""
        super().__init__()
        self.expand, self.project = nn.Linear(width, width), nn.Linear(width, out)
        self.shortcut = nn.Linear(width, out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens […, width] to embeddings […, out]."""
        return self.project(functional.relu(self.expand(tokens))) + self.shortcut(tokens)


def patches(classes: int) -> Segment:
    """ViT-B/16 with a stride of 4: overlapping patches, each compared with all texts."""
    tower, stride, texts = clip_tower("ViT-B-16"), 4, unit_rows(classes, 512)
    embedder = PatchEmbedder(768, 512)

    def segment(path: str) -> Tensor:
        pixels = read(path)
        cells = functional.conv2d(normalised(pixels)[None], tower.conv1.weight, stride=stride)
        rows, columns = cells.shape[2:]
        tokens = torch.cat((tower.class_embedding.view(1, 1, -1), cells.flatten(2).mT), dim=1)
        tokens = tower.ln_pre(tokens + resized_positions(tower, rows, columns))
        tokens = tower.ln_post(tower.transformer(tokens)[0, 1:])
        maps = functional.normalize(embedder(tokens), dim=1) @ texts.T
        full = functional.interpolate(
            maps.T.reshape(1, classes, rows, columns),
            size=pixels.shape[1:],
            mode="bilinear",
            align_corners=False,
        )
        return full[0].argmax(0)

    return segment


def crop(pixels: Tensor, inside: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The box of a mask, grey outside it: [3, side, side], and the mask [side, side]."""
    ys, xs = torch.nonzero(inside, as_tuple=True)
    rows = slice(int(ys.min()), int(ys.max()) + 1)
    columns = slice(int(xs.min()), int(xs.max()) + 1)
    mask = inside[rows, columns].float()
    region = normalised(pixels[:, rows, columns]) * mask
    resized = functional.interpolate(
        region[None], size=(side, side), mode="bicubic", align_corners=False
    )
    nearest = functional.interpolate(mask[None, None], size=(side, side), mode="nearest")
    return resized[0], nearest[0, 0]


def prompted(tower: nn.Module, regions: Tensor, masks: Tensor, prompts: Tensor) -> Tensor:
    """Region embeddings [R, D]: mask prompts before the first block and after two."""
    patch = tower.conv1.kernel_size[0]
    shown = functional.avg_pool2d(masks[:, None], patch).flatten(1).ceil().bool()[..., None]
    tokens = torch.where(shown, tower.conv1(regions).flatten(2).mT, prompts[0])
    first = tower.class_embedding.expand(len(tokens), 1, -1)
    tokens = tower.ln_pre(torch.cat((first, tokens), dim=1) + tower.positional_embedding)
    for depth, block in enumerate(tower.transformer.resblocks, start=1):
        tokens = block(tokens)
        if depth < len(prompts):
            rest = torch.where(shown, tokens[:, 1:], prompts[depth])
            tokens = torch.cat((tokens[:, :1], rest), dim=1)
    return tower.ln_post(tokens[:, 0]) @ tower.proj


def regions(classes: int, queries: int = 100, side: int = 224) -> Segment:
    """Swin-B and MaskFormer's decoder, then ViT-L/14 on the crop of every mask."""
    clip = clip_tower("ViT-L-14")
    import timm

    swin = timm.create_model(
        "swin_base_patch4_window12_384",
        features_only=True,
        img_size=640,
        strict_img_size=False,
    ).eval()
    decoder = {"queries": queries, "width": 256, "heads": 8, "layers": 6, "feed_forward": 2048}
    pixel_decoder = PixelDecoder([128, 256, 512, 1024], 256, 32)
    predictor = Predictor(1024, 768, {**decoder, "class_width": 1024})
    texts, void, prompts = unit_rows(classes, 768), unit_rows(1, 768), torch.randn(3, 256, 1024)

    def segment(path: str) -> Tensor:
        pixels = read(path)
        features = [f.permute(0, 3, 1, 2) for f in swin(normalised(pixels)[None])]
        logits, own = predictor(features[3], pixel_decoder(features))
        full = functional.interpolate(
            logits[None], size=pixels.shape[1:], mode="bilinear", align_corners=False
        )[0]
        probabilities = full.sigmoid()
        crops, masks = zip(
            *(crop(pixels, whole(one > 0.4), side) for one in probabilities), strict=True
        )
        seen = prompted(clip, torch.stack(crops), torch.stack(masks), prompts)
        theirs = (100.0 * functional.normalize(seen, dim=1) @ texts.T).softmax(1)
        ours = 100.0 * functional.normalize(own, dim=1) @ torch.cat((texts, void)).T
        scores = ours.softmax(1)[:, :-1] ** 0.3 * theirs**0.7
        return torch.einsum("qk,qhw->khw", scores, probabilities).argmax(0)

    return segment


def whole(inside: Tensor) -> Tensor:
    """The mask, or all of the picture where it is empty, so that every query has a crop."""
    return inside if inside.any() else torch.ones_like(inside)


def queries(classes: int) -> Segment:
    """CLIP's ResNet-101 as a backbone, deformable attention, queries compared with texts."""
    config = CONFIGS["rn101"]
    decoder = replace(config.decoder, queries=100)
    model = GkcOracle(replace(config, decoder=decoder), prior_width=256)
    rows = ClassMatrix(unit_rows(classes + 1, config.embed_dim), [1] * classes)
    head = model.sem_seg_head

    def segment(path: str) -> Tensor:
        pixels = read(path)
        mask_features, maps = head.pixel_decoder(
            model.clip.visual.feature_maps(normalised(pixels)[None])
        )
        final = head.predictor(maps, mask_features, rows)[-1]
        full = functional.interpolate(
            final.mask_logits, size=pixels.shape[1:], mode="bilinear", align_corners=False
        )[0]
        return semantic_scores(final.class_logits[0].log_softmax(-1), full).argmax(0)

    return segment


@torch.inference_mode()
def main() -> None:
    """Build, then answer lines until the input ends."""
    name, picture, classes = sys.argv[1:4]
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    segment = {"patches": patches, "regions": regions, "queries": queries}[name](int(classes))
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        labels = segment(picture)
        milliseconds = (time.perf_counter() - started) * 1e3
        answer = {
            "milliseconds": milliseconds,
            "classes": len(labels.unique()),
            "peakRss": peak_rss_bytes(),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
