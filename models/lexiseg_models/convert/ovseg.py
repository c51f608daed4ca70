"""Converts a published OVSeg checkpoint, which carries its CLIP, or another CLIP beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, FrozenSet, List, Optional, Tuple

from torch import Tensor, nn

from lexiseg_models.convert.clip import (
    BUNDLE_RULES,
    TEXT_RULES,
    VISION_TRANSFORMER_RULES,
    match_clip,
    read_clip,
    without_numbers,
)
from lexiseg_models.convert.matching import Rule, assign_tensors, match_tensors
from lexiseg_models.convert.tensors import CheckpointError, read_tensors

CLIP_PREFIX = "clip_adapter.clip_model."
# Of the training loss and of preprocessing.
_UNUSED = (
    "criterion.empty_weight",
    "pixel_mean",
    "pixel_std",
    "clip_adapter.pixel_mean",
    "clip_adapter.pixel_std",
)
_SWIN = r"backbone.layers.\1.blocks.\2."
_OUR_SWIN = r"backbone\.stages\.(\d)\.(\d+)\."
_PIXEL = r"sem_seg_head.pixel_decoder."
_PREDICTOR = r"sem_seg_head.predictor."
_LAYER = _PREDICTOR + r"transformer.decoder.layers.\1."
_OUR_LAYER = r"transformer_decoder\.layers\.(\d)\."

_BACKBONE = "backbone."
# What turns the last map into classes, in networks for ImageNet.
_CLASSIFIERS = ("head.", "norm.", "fc.")
# Of the maps that are handed on, which those networks do not have.
_SWIN_NORMS: Rule = (r"backbone\.norms\.(\d)\.(\w+)", r"backbone.norm\1.\2")

SWIN_RULES: Tuple[Rule, ...] = (
    (r"backbone\.patches\.(\w+)", r"backbone.patch_embed.proj.\1"),
    (r"backbone\.norm_patches\.(\w+)", r"backbone.patch_embed.norm.\1"),
    (_OUR_SWIN + r"norm_attention\.(\w+)", _SWIN + r"norm1.\3"),
    (_OUR_SWIN + r"attention\.in_(\w+)", _SWIN + r"attn.qkv.\3"),
    (_OUR_SWIN + r"attention\.out\.(\w+)", _SWIN + r"attn.proj.\3"),
    (_OUR_SWIN + r"attention\.bias_table", _SWIN + r"attn.relative_position_bias_table"),
    (_OUR_SWIN + r"norm_mlp\.(\w+)", _SWIN + r"norm2.\3"),
    (_OUR_SWIN + r"expand\.(\w+)", _SWIN + r"mlp.fc1.\3"),
    (_OUR_SWIN + r"project\.(\w+)", _SWIN + r"mlp.fc2.\3"),
    _SWIN_NORMS,
)


def _merging_rules() -> Tuple[Rule, ...]:
    """A reduction belongs to the stage before it, in the published names."""
    rules: List[Rule] = []
    for i in range(1, 4):
        theirs = rf"backbone.layers.{i - 1}.downsample."
        rules.append((rf"backbone\.reductions\.{i}\.norm\.(\w+)", theirs + r"norm.\1"))
        rules.append((rf"backbone\.reductions\.{i}\.reduction\.(\w+)", theirs + r"reduction.\1"))
    return tuple(rules)


def _resnet_rules() -> Tuple[Rule, ...]:
    rules: List[Rule] = []
    for i in range(3):
        stem = rf"backbone\.stem\.{i}"
        rules.append((stem + r"\.conv\.(\w+)", rf"backbone.stem.conv{i + 1}.\1"))
        rules.append((stem + r"\.norm\.(\w+)", rf"backbone.stem.conv{i + 1}.norm.\1"))
    parts = (("reduce", "conv1"), ("mix", "conv2"), ("expand", "conv3"), ("shortcut", "shortcut"))
    for i in range(4):
        for ours, theirs in parts:
            block = rf"backbone\.stages\.{i}\.(\d+)\.{ours}"
            place = rf"backbone.res{i + 2}.\1.{theirs}"
            rules.append((block + r"\.conv\.(\w+)", place + r".\2"))
            rules.append((block + r"\.norm\.(\w+)", place + r".norm.\2"))
    return tuple(rules)


def _decoder_rules() -> Tuple[Rule, ...]:
    """Published numbers count from res2; ours from the coarsest map that is added."""
    rules: List[Rule] = []
    pairs = [(r"deepest", "layer_4")]
    for i in range(3):
        pairs += [(rf"laterals\.{i}", f"adapter_{3 - i}"), (rf"layers\.{i}", f"layer_{3 - i}")]
    for ours, theirs in pairs:
        rules.append((rf"pixel_decoder\.{ours}\.conv\.(\w+)", _PIXEL + rf"{theirs}.\1"))
        rules.append((rf"pixel_decoder\.{ours}\.norm\.(\w+)", _PIXEL + rf"{theirs}.norm.\1"))
    return tuple(rules)


PREDICTOR_RULES: Tuple[Rule, ...] = (
    (r"pixel_decoder\.mask_features\.(\w+)", _PIXEL + r"mask_features.\1"),
    (r"transformer_decoder\.input\.(\w+)", _PREDICTOR + r"input_proj.\1"),
    (r"transformer_decoder\.query_position\.weight", _PREDICTOR + r"query_embed.weight"),
    (_OUR_LAYER + r"self_attention\.in_(\w+)", _LAYER + r"self_attn.in_proj_\2"),
    (_OUR_LAYER + r"self_attention\.out\.(\w+)", _LAYER + r"self_attn.out_proj.\2"),
    (_OUR_LAYER + r"cross_attention\.in_(\w+)", _LAYER + r"multihead_attn.in_proj_\2"),
    (_OUR_LAYER + r"cross_attention\.out\.(\w+)", _LAYER + r"multihead_attn.out_proj.\2"),
    (_OUR_LAYER + r"norm_self\.(\w+)", _LAYER + r"norm1.\2"),
    (_OUR_LAYER + r"norm_cross\.(\w+)", _LAYER + r"norm2.\2"),
    (_OUR_LAYER + r"norm_mlp\.(\w+)", _LAYER + r"norm3.\2"),
    (_OUR_LAYER + r"expand\.(\w+)", _LAYER + r"linear1.\2"),
    (_OUR_LAYER + r"project\.(\w+)", _LAYER + r"linear2.\2"),
    (r"transformer_decoder\.norm\.(\w+)", _PREDICTOR + r"transformer.decoder.norm.\1"),
    (
        r"transformer_decoder\.mask_embedding\.layers\.(\d)\.(\w+)",
        _PREDICTOR + r"mask_embed.layers.\1.\2",
    ),
    (r"transformer_decoder\.class_hidden\.(\w+)", _PREDICTOR + r"class_embed.layers.0.\1"),
    (r"transformer_decoder\.class_embedding\.(\w+)", _PREDICTOR + r"class_embed.layers.1.\1"),
    (r"void_embedding\.weight", r"clip_adapter.non_object_embedding"),
)
_PROMPTS = "mask_prompts.tokens"
_PUBLISHED_PROMPTS = "visual.mask_embedding"
PROMPT_RULES: Tuple[Rule, ...] = ((r"mask_prompts\.tokens", _PUBLISHED_PROMPTS),)
_BUNDLE_PROMPT_RULES: Tuple[Rule, ...] = ((r"(mask_prompts\.tokens)", r"\1"),)
RESNET_RULES = _resnet_rules()
PROPOSAL_RULES = SWIN_RULES + _merging_rules() + _decoder_rules() + PREDICTOR_RULES
CLIP_RULES = TEXT_RULES + VISION_TRANSFORMER_RULES + PROMPT_RULES


def proposal_rules(module: nn.Module) -> Tuple[Rule, ...]:
    """Names of what proposes masks, for the backbone this module has."""
    if "backbone.patches.weight" in module.state_dict():
        return PROPOSAL_RULES
    return RESNET_RULES + _decoder_rules() + PREDICTOR_RULES


def _is_index(name: str) -> bool:
    """Tables of integers that follow from the window alone."""
    return name.endswith(".relative_position_index")


def _fine_tuned(tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """CLIP's tensors of a file on its own: as published, or a training checkpoint of the fork."""
    return without_numbers({name.removeprefix(CLIP_PREFIX): t for name, t in tensors.items()})


def _match_clip(
    module: nn.Module, tensors: Dict[str, Tensor], *, bundled: bool
) -> Tuple[Dict[str, Tensor], List[str]]:
    """CLIP's tensors under our names and the faults; its mask prompts go where it goes.

    Prompts are of the tower that they were tuned on: those of another, or random ones, are worse
    than none, and may only stand where they are to be learned.
    """
    towers, prompts, theirs = (
        TEXT_RULES + VISION_TRANSFORMER_RULES,
        PROMPT_RULES,
        _PUBLISHED_PROMPTS,
    )
    if bundled:
        towers, prompts, theirs = BUNDLE_RULES, _BUNDLE_PROMPT_RULES, _PROMPTS
    # A bundle without prompts has an empty tensor of them.
    wanted = _PROMPTS in module.state_dict()
    given = theirs in tensors and tensors[theirs].numel() > 0
    if not wanted or not given:
        tensors = {name: tensor for name, tensor in tensors.items() if name != theirs}
    rules = towers + prompts if wanted and given else towers
    found, faults = match_clip(module, rules, tensors)
    if not given and _needs_prompts(module):
        faults.append(f"missing   CLIP: {theirs}; {_WITHOUT_PROMPTS}")
    return found, faults


_WITHOUT_PROMPTS = "without mask prompts it fits a config whose regions.prompts is false"


def _needs_prompts(module: nn.Module) -> bool:
    """Whether it has mask prompts, and none that are to be learned."""
    return _PROMPTS in module.state_dict() and not getattr(module, "learns_prompts", False)


def check_begun(module: nn.Module, filled: FrozenSet[str]) -> None:
    """Refuses mask prompts that stayed random where a bundle gave other weights.

    Raises:
        CheckpointError: with what fits instead.
    """
    if _needs_prompts(module) and _PROMPTS not in filled:
        raise CheckpointError(
            f"missing   {_PROMPTS}: give a CLIP that has them; {_WITHOUT_PROMPTS}"
        )


def _read_clip(place: str) -> Tuple[Dict[str, Tensor], bool]:
    """CLIP's tensors, with its mask prompts where it has any, and whether their names are ours."""
    tensors, bundled = read_clip(place, beside=(_PROMPTS,))
    return (tensors if bundled else _fine_tuned(tensors)), bundled


def load_clip(module: nn.Module, place: str) -> FrozenSet[str]:
    """Fills CLIP's part of `module`, mask prompts among it, and leaves the rest as it is.

    Args:
        module: the method, not on the meta device. One whose mask prompts are to be learned keeps
            its own where the CLIP has none; one without ignores those there are.
        place: OpenAI's weights, a training checkpoint of the method's own CLIP (file, folder or
            cached hub id), or a bundle with a CLIP in it.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    tensors, bundled = _read_clip(place)
    found, faults = _match_clip(module, tensors, bundled=bundled)
    assign_tensors(module, {**module.state_dict(), **found}, faults)
    return frozenset(found)


def load_tower(module: nn.Module, path: Path) -> FrozenSet[str]:
    """Gives the proposals a backbone that learned to classify images, and leaves the rest as it is.

    Args:
        module: the method, not on the meta device.
        path: Swin as its authors publish it, or a backbone by the names of the method's own
            checkpoints, with or without their prefix. Classifiers are left out, and the norms of
            the four maps stay as they are where the file has none.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: the network proposes no masks; or one error that lists every missing,
            surplus or misshapen tensor.
    """
    names = module.state_dict()
    if not any(name.startswith(_BACKBONE) for name in names):
        raise CheckpointError("The config proposes no masks: it has no image tower but CLIP's")
    tensors = {
        _BACKBONE + name.removeprefix(_BACKBONE): tensor
        for name, tensor in read_tensors(path).items()
        if not (_is_index(name) or name.endswith(".attn_mask") or name.startswith(_CLASSIFIERS))
    }
    with_norms = _BACKBONE + "norm0.weight" in tensors
    rules = [
        rule
        for rule in proposal_rules(module)
        if rule[0].startswith(r"backbone\.") and (with_norms or rule != _SWIN_NORMS)
    ]
    found, faults = match_tensors(module, rules, tensors, "tower")
    assign_tensors(module, {**names, **found}, faults)
    return frozenset(found)


def load_weights(module: nn.Module, checkpoint: Path, clip: Optional[str]) -> None:
    """Fills `module` from a published checkpoint.

    Args:
        module: the method, possibly on the meta device.
        checkpoint: .pth or .pt, nested under "model" or flat, with all tensors of the system.
        clip: another CLIP in the place of the one inside, as for `load_clip`. One without mask
            prompts fits a config without them, which ignores those there are.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    own: Dict[str, Tensor] = {}
    inside: Dict[str, Tensor] = {}
    for name, tensor in read_tensors(checkpoint).items():
        if name in _UNUSED or _is_index(name):
            continue
        if name.startswith(CLIP_PREFIX):
            inside[name.removeprefix(CLIP_PREFIX)] = tensor
        else:
            own[name] = tensor
    bundled = False
    if clip is not None:
        inside, bundled = _read_clip(clip)
    found, faults = match_tensors(module, proposal_rules(module), own, "checkpoint")
    towers, more = _match_clip(module, inside, bundled=bundled)
    assign_tensors(module, {**found, **towers}, [*faults, *more])
