"""GFLOP of masks and their embeddings for one picture; one multiply-add is two.

PYTHONPATH=models python tools/claims/flops.py METHOD CONFIG WIDTH HEIGHT

Matrix products, convolutions and attention are counted while random weights run; samples of
deformable attention, norms and resizing are not.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.methods import METHODS
from lexiseg_models.ops import load_ops
from torch.utils.flop_counter import FlopCounterMode


def _linear(x: list[int], weight: list[int], *_: Any, out_shape: Any = None, **__: Any) -> int:
    return 2 * math.prod(x) * weight[0]


def count(method: str, config: str, width: int, height: int) -> float:
    """GFLOP of `propose_masks`; where regions are cut out, all are."""
    load_ops()
    torch.manual_seed(0)
    composer = METHODS[method].composer
    module = composer.build(composer.parse_config(read_config(method, config)))
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    crops = getattr(module, "region_crops", None)
    if crops is not None:
        # Masks of random weights may be empty; those of a trained network are not.
        crops.least_logit = -math.inf
    image = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    # What our dense layers run on; PyTorch counts its own.
    ours = {torch.ops.mkldnn._linear_pointwise: _linear}
    with FlopCounterMode(display=False, custom_mapping=ours) as counter:
        module.propose_masks(image)
    return counter.get_total_flops() / 1e9


if __name__ == "__main__":
    print(count(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
