"""Training steps of the demo's CLIP in eager PyTorch, timed: `python -m bench.training_worker`.

Answers each line on its standard input with JSON. `step COUNT` trains on one fixed batch, `load
COUNT` on crops that a DataLoader of two processes decodes, cuts and mirrors as Node does.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.methods.clip import build_trainable
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Crops(Dataset[Tensor]):
    """Encoded pictures in memory; random resized crops of them, uint8 [S, S, 3]."""

    def __init__(self, folder: Path, size: int) -> None:
        """Reads all shards of a folder."""
        self.size = size
        self.pictures: list[bytes] = []
        for shard in sorted(folder.glob("*.tar")):
            with tarfile.open(shard) as archive:
                for member in archive:
                    file = archive.extractfile(member)
                    if file is not None and member.name.endswith(".jpg"):
                        self.pictures.append(file.read())

    def __len__(self) -> int:
        """Pictures."""
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tensor:
        """One picture, cut, mirrored and jittered anew."""
        picture = Image.open(io.BytesIO(self.pictures[index])).convert("RGB")
        side = int(min(picture.size) * random.uniform(0.6, 1.0) ** 0.5)
        left = random.randint(0, picture.width - side)
        top = random.randint(0, picture.height - side)
        box = (left, top, left + side, top + side)
        picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box)
        if random.random() < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            picture = enhance(picture).enhance(random.uniform(0.8, 1.2))
        return torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(
            self.size, self.size, 3
        )


class Loop:
    """AdamW under autocast, as a Python user would write it."""

    def __init__(self, batch: int, size: int) -> None:
        """A fresh network and a fixed batch."""
        torch.manual_seed(1)
        self.module = build_trainable(read_config("clip", "demo"))
        parameters = list(self.module.parameters())
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1)
        self.parameters = parameters
        self.images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
        self.token_ids = torch.randint(1, 40_000, (batch, 8))
        self.token_ids[:, -1] = 49_407

    def step(self, images: Tensor) -> None:
        """One update."""
        batch = {"images": images, "token_ids": self.token_ids}
        with torch.autocast("cpu", torch.bfloat16):
            losses = self.module.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        [value.item() for value in losses.values()]


def main() -> None:
    """Answers lines until they end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--crops", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    loop = Loop(options.batch, options.size)
    crops = Crops(options.crops, options.size)
    loader = DataLoader(
        crops, options.batch, shuffle=True, drop_last=True, num_workers=2, persistent_workers=True
    )

    def endless() -> Iterator[Tensor]:
        while True:
            yield from loader

    stream = endless()
    loop.step(loop.images)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        kind, count = line.split()
        started = time.perf_counter()
        for _ in range(int(count)):
            loop.step(loop.images if kind == "step" else next(stream))
        seconds = time.perf_counter() - started
        print(json.dumps({"stepsPerSecond": int(count) / seconds}), flush=True)


main()
