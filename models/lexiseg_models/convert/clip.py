"""Names of open_clip's tensors beside ours, for the text tower and the two image towers."""

from __future__ import annotations

from typing import Tuple

from lexiseg_models.convert.matching import Rule

TEXT_RULES: Tuple[Rule, ...] = (
    (r"text_encoder\.token_embedding\.weight", r"token_embedding.weight"),
    (r"text_encoder\.position_embedding", r"positional_embedding"),
    (r"text_encoder\.projection", r"text_projection"),
    (r"text_encoder\.norm\.(\w+)", r"ln_final.\1"),
    (
        r"text_encoder\.blocks\.(\d+)\.norm_attention\.(\w+)",
        r"transformer.resblocks.\1.ln_1.\2",
    ),
    (r"text_encoder\.blocks\.(\d+)\.norm_mlp\.(\w+)", r"transformer.resblocks.\1.ln_2.\2"),
    (
        r"text_encoder\.blocks\.(\d+)\.attention\.in_(\w+)",
        r"transformer.resblocks.\1.attn.in_proj_\2",
    ),
    (
        r"text_encoder\.blocks\.(\d+)\.attention\.out\.(\w+)",
        r"transformer.resblocks.\1.attn.out_proj.\2",
    ),
    (r"text_encoder\.blocks\.(\d+)\.expand\.(\w+)", r"transformer.resblocks.\1.mlp.c_fc.\2"),
    (r"text_encoder\.blocks\.(\d+)\.project\.(\w+)", r"transformer.resblocks.\1.mlp.c_proj.\2"),
    (r"out_of_vocabulary_classifier\.logit_scale", r"logit_scale"),
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

# The first releases of CLIP carry these three numbers among their tensors.
NUMBERS_IN_PUBLISHED_FILES = ("input_resolution", "context_length", "vocab_size")
