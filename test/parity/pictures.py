"""Pictures for Node: files of RGB bytes with classes to find, and files with captions."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def run_on_pictures(
    runner: Path,
    bundle: Path,
    pictures: Sequence[NDArray[np.uint8]],
    classes: Sequence[Sequence[str]],
    folder: Path,
) -> None:
    """Run a script of Node on pictures [H, W, 3]; it writes into `folder`.

    classes: names of each, its own first.
    """
    named = [{"name": names[0], "synonyms": list(names)} for names in classes]
    cases = []
    for i, picture in enumerate(pictures):
        raw = folder / f"{i}.rgb"
        raw.write_bytes(picture.tobytes())
        height, width, _ = picture.shape
        cases.append({"raw": str(raw), "width": width, "height": height, "classes": named})
    request = folder / "request.json"
    request.write_text(json.dumps({"bundle": str(bundle), "out": str(folder), "cases": cases}))
    node = shutil.which("node") or "node"
    done = subprocess.run([node, str(runner), str(request)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def read(path: Path, shape: list[int], dtype: str = "<f4") -> Tensor:
    """A tensor that the script stored."""
    return torch.from_numpy(np.fromfile(path, dtype).reshape(shape))


def write_captioned(folder: Path) -> Path:
    """Eleven pictures of noise with captions; the file of captions."""
    folder.mkdir()
    numbers = np.random.default_rng(4)
    lines = []
    for i in range(11):
        pixels = numbers.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(json.dumps({"image": f"{i}.png", "caption": f"picture number {i}"}))
    (folder / "captions.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "captions.jsonl"
