"""GFLOP of each stage, counted over the oracle without running it; one multiply-add is two.

PYTHONPATH=test python -m bench.arithmetic NETWORK SIZE CLASSES SYNONYMS
"""

from __future__ import annotations

import json
import sys

import torch
from torch.utils.flop_counter import FlopCounterMode

from oracle.config import CONFIGS
from oracle.model import OracleModel
from oracle.predictor import ClassMatrix

from .prepare import sized

_INTERPOLATION_FLOPS = 8
"""Of one bilinear sample: four products and their sum, and one sigmoid."""


def count(name: str, size: int, classes: int, synonyms: int) -> dict[str, float]:
    """GFLOP by stage for one size × size picture.

    Matrix products, convolutions and attention are counted exactly; the samples of deformable
    attention and of post-processing at a few operations each. The nine intermediate class
    predictions, which nothing reads, are left out.
    """
    config = sized(CONFIGS[name], size)
    decoder = config.decoder
    queries, width = decoder.queries, config.embed_dim
    with torch.device("meta"):
        model = OracleModel(config)
        image = torch.empty(1, 3, size, size)
        with FlopCounterMode(display=False) as backbone:
            pyramid = model.clip.visual.feature_maps(image)
        with FlopCounterMode(display=False) as pixels:
            mask_features, maps = model.sem_seg_head.pixel_decoder(pyramid)
        none = ClassMatrix(torch.empty(1, width), [])
        with FlopCounterMode(display=False) as transformer:
            model.sem_seg_head.predictor(maps, mask_features, none)
        masks = torch.empty(1, queries, *pyramid[-1].shape[-2:])
        with FlopCounterMode(display=False) as regions:
            model.clip.visual.region_embeddings(pyramid[-1], masks)
    tokens = sum(m.shape[-2] * m.shape[-1] for m in maps)
    samples = tokens * decoder.encoder_layers * 3 * decoder.points * decoder.hidden_dim
    pooling = 2 * queries * decoder.mask_dim * mask_features[0, 0].numel()
    flops = {
        "preprocess": 2 * 3 * size * size,
        "backbone": backbone.get_total_flops(),
        "pixel_decoder": pixels.get_total_flops() + samples * _INTERPOLATION_FLOPS,
        "transformer_decoder": transformer.get_total_flops()
        - decoder.decoder_layers * pooling
        + regions.get_total_flops(),
        "classification": 2 * 2 * queries * width * synonyms,
        "post_processing": queries * size * size * _INTERPOLATION_FLOPS,
    }
    return {stage: value / 1e9 for stage, value in flops.items()}


if __name__ == "__main__":
    print(json.dumps(count(sys.argv[1], *map(int, sys.argv[2:5]))))
