"""Converts a published FC-CLIP checkpoint: its own tensors, and CLIP's as a second input."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from lexiseg_models.convert.clip import clip_rules, without_numbers
from lexiseg_models.convert.matching import Rule, assign_tensors, match_tensors
from lexiseg_models.convert.tensors import CheckpointError, find_clip_file, read_tensors

CLIP_PREFIX = "backbone.clip_model."
# Weights of the training loss; the network does not use them.
_TRAINING_ONLY = "criterion.empty_weight"

_PIXEL = r"sem_seg_head.pixel_decoder."
_ENCODER = _PIXEL + r"transformer.encoder.layers."
_PREDICTOR = r"sem_seg_head.predictor."
_SELF = _PREDICTOR + r"transformer_self_attention_layers."
_CROSS = _PREDICTOR + r"transformer_cross_attention_layers."
_FFN = _PREDICTOR + r"transformer_ffn_layers."
_OUR_ENCODER = r"pixel_decoder\.layers\.(\d+)\."
_OUR_DECODER = r"transformer_decoder\.layers\.(\d+)\."

TRAINED_RULES: Tuple[Rule, ...] = (
    (r"pixel_decoder\.projections\.(\d)\.conv\.(\w+)", _PIXEL + r"input_proj.\1.0.\2"),
    (r"pixel_decoder\.projections\.(\d)\.norm\.(\w+)", _PIXEL + r"input_proj.\1.1.\2"),
    (r"pixel_decoder\.level_embedding", _PIXEL + r"transformer.level_embed"),
    (_OUR_ENCODER + r"attention\.offsets\.(\w+)", _ENCODER + r"\1.self_attn.sampling_offsets.\2"),
    (_OUR_ENCODER + r"attention\.logits\.(\w+)", _ENCODER + r"\1.self_attn.attention_weights.\2"),
    (_OUR_ENCODER + r"attention\.value\.(\w+)", _ENCODER + r"\1.self_attn.value_proj.\2"),
    (_OUR_ENCODER + r"attention\.out\.(\w+)", _ENCODER + r"\1.self_attn.output_proj.\2"),
    (_OUR_ENCODER + r"norm_attention\.(\w+)", _ENCODER + r"\1.norm1.\2"),
    (_OUR_ENCODER + r"norm_mlp\.(\w+)", _ENCODER + r"\1.norm2.\2"),
    (_OUR_ENCODER + r"expand\.(\w+)", _ENCODER + r"\1.linear1.\2"),
    (_OUR_ENCODER + r"project\.(\w+)", _ENCODER + r"\1.linear2.\2"),
    (r"pixel_decoder\.lateral\.conv\.(\w+)", _PIXEL + r"adapter_1.\1"),
    (r"pixel_decoder\.lateral\.norm\.(\w+)", _PIXEL + r"adapter_1.norm.\1"),
    (r"pixel_decoder\.output\.conv\.(\w+)", _PIXEL + r"layer_1.\1"),
    (r"pixel_decoder\.output\.norm\.(\w+)", _PIXEL + r"layer_1.norm.\1"),
    (r"pixel_decoder\.mask_features\.(\w+)", _PIXEL + r"mask_features.\1"),
    (r"transformer_decoder\.query_content\.weight", _PREDICTOR + r"query_feat.weight"),
    (r"transformer_decoder\.query_position\.weight", _PREDICTOR + r"query_embed.weight"),
    (r"transformer_decoder\.level_embedding\.weight", _PREDICTOR + r"level_embed.weight"),
    (_OUR_DECODER + r"self_attention\.in_(\w+)", _SELF + r"\1.self_attn.in_proj_\2"),
    (_OUR_DECODER + r"self_attention\.out\.(\w+)", _SELF + r"\1.self_attn.out_proj.\2"),
    (_OUR_DECODER + r"norm_self\.(\w+)", _SELF + r"\1.norm.\2"),
    (_OUR_DECODER + r"cross_attention\.in_(\w+)", _CROSS + r"\1.multihead_attn.in_proj_\2"),
    (_OUR_DECODER + r"cross_attention\.out\.(\w+)", _CROSS + r"\1.multihead_attn.out_proj.\2"),
    (_OUR_DECODER + r"norm_cross\.(\w+)", _CROSS + r"\1.norm.\2"),
    (_OUR_DECODER + r"expand\.(\w+)", _FFN + r"\1.linear1.\2"),
    (_OUR_DECODER + r"project\.(\w+)", _FFN + r"\1.linear2.\2"),
    (_OUR_DECODER + r"norm_mlp\.(\w+)", _FFN + r"\1.norm.\2"),
    (r"transformer_decoder\.norm\.(\w+)", _PREDICTOR + r"decoder_norm.\1"),
    (
        r"transformer_decoder\.mask_embedding\.layers\.(\d)\.(\w+)",
        _PREDICTOR + r"mask_embed.layers.\1.\2",
    ),
    (r"region_embedder\.norm\.(\w+)", _PREDICTOR + r"_mask_pooling_proj.0.\1"),
    (r"region_embedder\.pooled\.(\w+)", _PREDICTOR + r"_mask_pooling_proj.1.\1"),
    (r"region_embedder\.embedding\.layers\.(\d)\.(\w+)", _PREDICTOR + r"class_embed.layers.\1.\2"),
    (r"in_vocabulary_classifier\.logit_scale", _PREDICTOR + r"logit_scale"),
    (r"void_embedding\.weight", r"void_embedding.weight"),
)


def _split(tensors: Dict[str, Tensor]) -> Tuple[Dict[str, Tensor], Dict[str, Tensor]]:
    """Tensors without CLIP's prefix, and those with it, under the names without it."""
    own: Dict[str, Tensor] = {}
    clip: Dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(CLIP_PREFIX):
            clip[name.removeprefix(CLIP_PREFIX)] = tensor
        else:
            own[name] = tensor
    return own, clip


def _clip_tensors(
    inside: Dict[str, Tensor], place: Optional[str]
) -> Tuple[Dict[str, Tensor], List[str]]:
    """CLIP's tensors from the checkpoint or the second input, and faults if they contradict."""
    if place is None:
        if not inside:
            raise CheckpointError(
                "The checkpoint holds no CLIP tensors: name CLIP's weights with --clip"
            )
        return inside, []
    plain, prefixed = _split(read_tensors(find_clip_file(place)))
    given = without_numbers({**plain, **prefixed})
    faults = [
        f"contradictory: {CLIP_PREFIX}{name} differs between the checkpoint and the CLIP file"
        for name, tensor in inside.items()
        if name in given and not torch.equal(tensor.float(), given[name].float())
    ]
    return {**inside, **given}, faults


def load_weights(module: nn.Module, checkpoint: Path, clip: Optional[str]) -> None:
    """Fills `module` from a published checkpoint and CLIP's weights.

    Args:
        module: the method, possibly on the meta device.
        checkpoint: .pth, nested under "model" or flat; may carry CLIP under its prefix.
        clip: a file, folder or cached hub id; needed unless the checkpoint carries CLIP.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    own, inside = _split(read_tensors(checkpoint))
    own.pop(_TRAINING_ONLY, None)
    clip_tensors, faults = _clip_tensors(inside, clip)
    found: Dict[str, Tensor] = {}
    inputs: Sequence[Tuple[Tuple[Rule, ...], Dict[str, Tensor], str]] = (
        (TRAINED_RULES, own, "checkpoint"),
        (clip_rules(module), clip_tensors, "CLIP"),
    )
    for rules, tensors, what in inputs:
        renamed, more = match_tensors(module, rules, tensors, what)
        found.update(renamed)
        faults.extend(more)
    assign_tensors(module, found, faults)
