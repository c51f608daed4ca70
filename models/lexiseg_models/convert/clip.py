"""CLIP's weights for a module: open_clip's names beside ours, and bundles that hold a CLIP."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, FrozenSet, List, Mapping, Tuple

from torch import Tensor, nn

from lexiseg_models.convert.bundle import bundle_tensors, is_bundle
from lexiseg_models.convert.matching import Rule, assign_tensors, match_tensors
from lexiseg_models.convert.tensors import find_clip_file, read_tensors


def _block_rules(ours: str, theirs: str) -> Tuple[Rule, ...]:
    """Names of a transformer's blocks."""
    pairs = (
        ("norm_attention", "ln_1"),
        ("norm_mlp", "ln_2"),
        (r"attention\.out", "attn.out_proj"),
        ("expand", "mlp.c_fc"),
        ("project", "mlp.c_proj"),
    )
    block, resblock = rf"{ours}\.blocks\.(\d+)\.", rf"{theirs}transformer.resblocks.\1."
    packed = (block + r"attention\.in_(\w+)", resblock + r"attn.in_proj_\2")
    return (packed, *((rf"{block}{a}\.(\w+)", rf"{resblock}{b}.\2") for a, b in pairs))


TEXT_RULES: Tuple[Rule, ...] = (
    (r"text_encoder\.token_embedding\.weight", r"token_embedding.weight"),
    (r"text_encoder\.position_embedding", r"positional_embedding"),
    (r"text_encoder\.projection", r"text_projection"),
    (r"text_encoder\.norm\.(\w+)", r"ln_final.\1"),
    *_block_rules("text_encoder", ""),
    (r"(?:out_of_vocabulary_)?classifier\.logit_scale", r"logit_scale"),
)

_TRUNK = r"visual.trunk."
_STAGE = r"image_tower\.stages\.(\d+)\.(\d+)\."
_BLOCK = _TRUNK + r"stages.\1.blocks.\2."

CONVNEXT_RULES: Tuple[Rule, ...] = (
    (r"image_tower\.reductions\.0\.patches\.(\w+)", _TRUNK + r"stem.0.\1"),
    (r"image_tower\.reductions\.0\.norm\.(\w+)", _TRUNK + r"stem.1.\1"),
    (r"image_tower\.reductions\.(\d+)\.norm\.(\w+)", _TRUNK + r"stages.\1.downsample.0.\2"),
    (r"image_tower\.reductions\.(\d+)\.reduce\.(\w+)", _TRUNK + r"stages.\1.downsample.1.\2"),
    (_STAGE + r"depthwise\.(\w+)", _BLOCK + r"conv_dw.\3"),
    (_STAGE + r"norm\.(\w+)", _BLOCK + r"norm.\3"),
    (_STAGE + r"expand\.(\w+)", _BLOCK + r"mlp.fc1.\3"),
    (_STAGE + r"project\.(\w+)", _BLOCK + r"mlp.fc2.\3"),
    (_STAGE + r"gamma", _BLOCK + r"gamma"),
    (r"region_head\.norm\.(\w+)", _TRUNK + r"head.norm.\1"),
    (r"region_head\.projection\.0\.(\w+)", r"visual.head.mlp.fc1.\1"),
    (r"region_head\.projection\.1\.(\w+)", r"visual.head.mlp.fc2.\1"),
    (r"region_head\.projection\.weight", r"visual.head.proj.weight"),
)


def _resnet_rules() -> Tuple[Rule, ...]:
    rules = []
    for i in range(3):
        rules.append((rf"image_tower\.stem\.{i}\.conv\.(\w+)", rf"visual.conv{i + 1}.\1"))
        rules.append((rf"image_tower\.stem\.{i}\.norm\.(\w+)", rf"visual.bn{i + 1}.\1"))
    for i in range(4):
        ours = rf"image_tower\.layers\.{i}\.(\d+)\."
        theirs = rf"visual.layer{i + 1}.\1."
        for j, part in enumerate(("reduce", "mix", "expand")):
            rules.append((ours + part + r"\.conv\.(\w+)", theirs + rf"conv{j + 1}.\2"))
            rules.append((ours + part + r"\.norm\.(\w+)", theirs + rf"bn{j + 1}.\2"))
        rules.append((ours + r"shortcut\.conv\.(\w+)", theirs + r"downsample.0.\2"))
        rules.append((ours + r"shortcut\.norm\.(\w+)", theirs + r"downsample.1.\2"))
    rules.append((r"region_head\.position_embedding", r"visual.attnpool.positional_embedding"))
    for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("out", "c")):
        rules.append((rf"region_head\.{ours}\.(\w+)", rf"visual.attnpool.{theirs}_proj.\1"))
    return tuple(rules)


RESNET_RULES = _resnet_rules()

VISION_TRANSFORMER_RULES: Tuple[Rule, ...] = (
    (r"image_tower\.patches\.weight", r"visual.conv1.weight"),
    (r"image_tower\.class_token", r"visual.class_embedding"),
    (r"image_tower\.position_embedding", r"visual.positional_embedding"),
    (r"image_tower\.norm_input\.(\w+)", r"visual.ln_pre.\1"),
    (r"image_tower\.norm\.(\w+)", r"visual.ln_post.\1"),
    (r"image_tower\.projection", r"visual.proj"),
    *_block_rules("image_tower", "visual."),
)

# The first releases of CLIP carry these three numbers among their tensors.
NUMBERS_IN_PUBLISHED_FILES = ("input_resolution", "context_length", "vocab_size")

# A bundle that was trained as a CLIP has our own names already.
_BUNDLE_TEXT_RULES: Tuple[Rule, ...] = (
    (r"(text_encoder\..+)", r"\1"),
    (r"(?:out_of_vocabulary_)?classifier\.logit_scale", r"classifier.logit_scale"),
)
BUNDLE_RULES: Tuple[Rule, ...] = (
    (r"(image_tower\..+)", r"\1"),
    (r"(region_head\..+)", r"\1"),
    *_BUNDLE_TEXT_RULES,
)


def clip_rules(module: nn.Module) -> Tuple[Rule, ...]:
    """Names of CLIP's tensors for the image tower this module has."""
    names = module.state_dict()
    if any(name.startswith("image_tower.layers.") for name in names):
        return TEXT_RULES + RESNET_RULES
    if "image_tower.class_token" in names:
        return TEXT_RULES + VISION_TRANSFORMER_RULES
    return TEXT_RULES + CONVNEXT_RULES


def without_numbers(tensors: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """The tensors without the numbers that the first releases carry among them."""
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in NUMBERS_IN_PUBLISHED_FILES or tensor.dim() > 0
    }


# What else a bundle has is of CLIP only where a method asks for it.
_TOWERS = ("image_tower.", "region_head.", "text_encoder.")
_SCALES = ("classifier.logit_scale", "out_of_vocabulary_classifier.logit_scale")


def _clip_of_bundle(path: Path, beside: Tuple[str, ...]) -> Dict[str, Tensor]:
    """CLIP's part of a bundle of any method; its scale by the name that a CLIP's bundle has."""
    tensors = bundle_tensors(path)
    wanted = _TOWERS + beside
    found = {name: tensor for name, tensor in tensors.items() if name.startswith(wanted)}
    scales = [tensors[name] for name in _SCALES if name in tensors]
    return {**found, _SCALES[0]: scales[0]} if scales else found


# How CLIP makes one vector of a map, in published files and in bundles.
_POOLS = ("visual.attnpool.", "visual.trunk.head.", "visual.head.", "region_head.")


def read_clip(place: str, *, beside: Tuple[str, ...] = ()) -> Tuple[Dict[str, Tensor], bool]:
    """CLIP's tensors, and whether they come from a bundle and so have our names.

    Args:
        place: as for `load_clip`.
        beside: beginnings of names of what else is to be taken from a bundle.

    Raises:
        CheckpointError: nothing is there, or the file is damaged.
    """
    path = find_clip_file(place)
    if is_bundle(path):
        return _clip_of_bundle(path, beside), True
    return without_numbers(read_tensors(path)), False


_IMAGE_SIDE = ("visual.", "image_tower.", "region_head.")


def _without_scale(
    tensors: Dict[str, Tensor], rules: Tuple[Rule, ...]
) -> Tuple[Dict[str, Tensor], Tuple[Rule, ...]]:
    return (
        {name: t for name, t in tensors.items() if name.split(".")[-1] != "logit_scale"},
        tuple(rule for rule in rules if not rule[0].endswith("logit_scale")),
    )


def load_text(module: nn.Module, place: str, *, with_scale: bool = True) -> FrozenSet[str]:
    """Fills the text tower and the scale of `module`, and leaves its image tower as it is.

    Args:
        module: a method whose image tower is not CLIP's, not on the meta device.
        place: as for `load_clip`.
        with_scale: as for `load_clip`.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: as `load_clip`.
    """
    tensors, bundled = read_clip(place)
    tensors = {name: t for name, t in tensors.items() if not name.startswith(_IMAGE_SIDE)}
    rules = _BUNDLE_TEXT_RULES if bundled else TEXT_RULES
    if not with_scale or not any(name in module.state_dict() for name in _SCALES):
        tensors, rules = _without_scale(tensors, rules)
    found, faults = match_tensors(module, rules, tensors, "CLIP")
    assign_tensors(module, {**module.state_dict(), **found}, faults)
    return frozenset(found)


def load_trunk(module: nn.Module, place: str) -> FrozenSet[str]:
    """Fills the image tower of `module` alone, without what makes one vector of its map.

    Args:
        module: a method whose image tower is of a CLIP's shape, not on the meta device.
        place: as for `load_clip`.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: as `load_clip`.
    """
    tensors, bundled = read_clip(place)
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if name.startswith(_IMAGE_SIDE) and not name.startswith(_POOLS)
    }
    rules = BUNDLE_RULES if bundled else clip_rules(module)
    trunk = tuple(rule for rule in rules if "image_tower" in rule[0])
    found, faults = match_tensors(module, trunk, tensors, "tower")
    assign_tensors(module, {**module.state_dict(), **found}, faults)
    return frozenset(found)


def match_clip(
    module: nn.Module,
    rules: Tuple[Rule, ...],
    tensors: Dict[str, Tensor],
    *,
    with_scale: bool = True,
) -> Tuple[Dict[str, Tensor], List[str]]:
    """CLIP's tensors under our names, and the faults, without what `module` has no place for.

    That is the scale of cosines, and without a region head what makes one vector of a map.
    """
    names = module.state_dict()
    if not any(name.startswith("region_head.") for name in names):
        tensors = {name: t for name, t in tensors.items() if not name.startswith(_POOLS)}
    if not with_scale or not any(name in names for name in _SCALES):
        tensors, rules = _without_scale(tensors, rules)
    return match_tensors(module, rules, tensors, "CLIP")


def load_clip(module: nn.Module, place: str, *, with_scale: bool = True) -> FrozenSet[str]:
    """Fills CLIP's part of `module` and leaves the rest as it is.

    Args:
        module: a method, not on the meta device. One without a region head takes only the trunk.
        place: open_clip's weights (file, folder or cached hub id), or a bundle with a CLIP in it.
        with_scale: take CLIP's scale of cosines too, where the method has one.

    Returns:
        Names of the tensors that were filled.

    Raises:
        CheckpointError: one error that lists every missing, surplus or misshapen tensor.
    """
    tensors, bundled = read_clip(place)
    rules = BUNDLE_RULES if bundled else clip_rules(module)
    found, faults = match_clip(module, rules, tensors, with_scale=with_scale)
    assign_tensors(module, {**module.state_dict(), **found}, faults)
    return frozenset(found)
