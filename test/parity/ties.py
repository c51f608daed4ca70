"""What a bundle decides of logits within rounding of zero, for the oracle to decide alike."""

from __future__ import annotations

from pathlib import Path

import torch
from lexiseg_models.parts.transformer_decoder import TransformerDecoder, TransformerDecoderConfig
from torch import Tensor, nn
from torch.nn import functional

from oracle.config import DecoderConfig
from oracle.decisions import Decisions

from .cases import Case
from .torchscript import load_operators

_STAGES = ["stage_preprocess", "stage_backbone", "stage_pixel_decoder"]


class _Recorder(TransformerDecoder):
    """The bundle's own decoder, which notes where its queries may look."""

    def __init__(self, config: TransformerDecoderConfig) -> None:
        super().__init__(config)
        self.seen: list[Tensor] = []

    def visible(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        self.seen.append(self.mask_logits(normed, mask_features) >= 0)
        return super().visible(normed, mask_features)


def _decoder(module: nn.Module, config: DecoderConfig) -> _Recorder:
    shape = TransformerDecoderConfig(
        queries=config.queries,
        width=config.hidden_dim,
        heads=config.heads,
        layers=config.decoder_layers,
        feed_forward=config.decoder_feedforward_dim,
    )
    decoder = _Recorder(shape).eval()
    decoder.load_state_dict(module.state_dict())
    return decoder


@torch.inference_mode()
def bundle_decisions(
    bundle: Path, config: DecoderConfig, case: Case, mask_logits: Tensor
) -> Decisions:
    """Decisions of the run in Node that gave `mask_logits` [Q, h, w].

    Raises:
        AssertionError: Python, with the same library and graph, gives other logits than Node.
    """
    load_operators()
    module = torch.jit.load(str(bundle)).eval().to(memory_format=torch.channels_last)
    decoder = _decoder(module.transformer_decoder, config)
    frozen = torch.jit.freeze(module, preserved_attrs=_STAGES)
    pixels = torch.from_numpy(case.picture.copy())[None]
    pyramid = frozen.stage_backbone(frozen.stage_preprocess(pixels))
    mask_features, *maps = frozen.stage_pixel_decoder(pyramid)[:4]
    _, again = decoder(mask_features, maps)
    assert torch.equal(again[0], mask_logits), "Node's mask logits are not the bundle's"
    coarse = functional.interpolate(
        again, size=pyramid[3].shape[-2:], mode="bilinear", align_corners=False
    )
    taken = {f"visible {i}": inside for i, inside in enumerate(decoder.seen)}
    return Decisions({**taken, "inside": again > 0, "coarse": coarse > 0})
