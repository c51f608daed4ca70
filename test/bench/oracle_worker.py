"""The oracle as a process that times one whole image per line on its standard input.

    PYTHONPATH=test python -m bench.oracle_worker NETWORK FOLDER SIZE PICTURE VOCABULARY ROWS

Answers each line `run` with JSON: milliseconds by stage and the peak resident set so far; and the
line `matmul DTYPE` with the GFLOP/s of a 2048² product.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from oracle.heads import PanopticThresholds, panoptic_map
from oracle.model import OracleModel, mask_logits_at_output
from oracle.predictor import ClassMatrix
from oracle.preprocess import preprocess
from parity.cases import training_vocabulary

from .prepare import load_oracle, read_vocabulary

THREADS = 2
Result = TypeVar("Result")


class Stopwatch:
    """Milliseconds by stage."""

    def __init__(self) -> None:
        """Start empty."""
        self.milliseconds: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], Result]) -> Result:
        """Run `work` and record how long it took."""
        started = time.perf_counter()
        result = work()
        self.milliseconds[stage] = (time.perf_counter() - started) * 1e3
        return result


def peak_rss_bytes() -> int:
    """VmHWM of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


@torch.inference_mode()
def segment(
    model: OracleModel,
    path: str,
    classes: ClassMatrix,
    flags: tuple[torch.Tensor, torch.Tensor],
) -> dict[str, Any]:
    """Whole image to panoptic map; flags: seen and thing, bool [K]."""
    seen, thing = flags
    head, watch = model.sem_seg_head, Stopwatch()
    started = time.perf_counter()
    picture = watch.time("decode", lambda: np.asarray(Image.open(path).convert("RGB")))
    sizes = watch.time("preprocess", lambda: preprocess(picture, model.config))
    pyramid = watch.time("backbone", lambda: model.clip.visual.feature_maps(sizes.image))
    features, maps = watch.time("pixel_decoder", lambda: head.pixel_decoder(pyramid))
    predictions = watch.time("transformer_decoder", lambda: head.predictor(maps, features, classes))
    log_probs = watch.time(
        "classification", lambda: model.classify(pyramid[-1], predictions[-1], classes, seen)
    )
    segment_map, segments = watch.time(
        "post_processing",
        lambda: panoptic_map(
            log_probs[0],
            mask_logits_at_output(predictions[-1].mask_logits[0], sizes),
            thing,
            PanopticThresholds(),
        ),
    )
    return {
        "milliseconds": (time.perf_counter() - started) * 1e3,
        "stages": watch.milliseconds,
        "segments": len(segments),
        "labelled": float((segment_map > 0).float().mean()),
        "peakRss": peak_rss_bytes(),
    }


def matmul_gflops(dtype: torch.dtype, width: int = 2048, seconds: float = 1.5) -> float:
    """Best rate of a square product."""
    a, b = torch.randn(2, width, width).to(dtype)
    best, until = 0.0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        torch.mm(a, b)
        best = max(best, 2 * width**3 / (time.perf_counter() - started) / 1e9)
    return best


def main() -> None:
    """Load, then answer lines until the input ends."""
    name, folder, size, picture, vocabulary_path, rows = sys.argv[1:7]
    torch.set_num_threads(THREADS)
    model = load_oracle(name, Path(folder), int(size))
    vocabulary = read_vocabulary(Path(vocabulary_path))
    classes = model.with_void(torch.load(rows), vocabulary.synonym_counts)
    flags = (vocabulary.seen(training_vocabulary()), torch.tensor(vocabulary.thing))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = line.split()
        if command[0] == "matmul":
            answer: dict[str, Any] = {"gflops": matmul_gflops(getattr(torch, command[1]))}
        else:
            answer = segment(model, picture, classes, flags)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
