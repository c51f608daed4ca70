"""The table of methods: the name on the command line, what composes it and what converts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, FrozenSet, Optional

from torch import nn

from lexiseg_models.convert import clip as clip_weights
from lexiseg_models.convert import dino as dino_weights
from lexiseg_models.convert import fc_clip as fc_clip_weights
from lexiseg_models.convert import gkc as gkc_weights
from lexiseg_models.convert import ovseg as ovseg_weights
from lexiseg_models.convert import pacl as pacl_weights
from lexiseg_models.methods import (
    clip,
    fc_clip,
    fc_clip_training,
    gkc,
    gkc_training,
    ovseg,
    ovseg_training,
    pacl,
    pacl_training,
)


@dataclass(frozen=True)
class Method:
    """How a method is made.

    Attributes:
        composer: module with parse_config, build, keep_float32, METHODS, STAGES, TASKS, PROPOSALS,
            and where its methods depend on the config, `methods` of a parsed one.
        training: module with build_trainable, groups and batch_kind.
        load_weights: fills a module from a published checkpoint and CLIP's weights.
        load_clip: fills only CLIP's part of a module, and names what it filled.
        licence: of the published weights, without CLIP's.
        load_text: fills only CLIP's text tower, and names what it filled.
        load_tower: fills an image tower that is not that of `load_clip`.
        check_begun: refuses what may not stay random in a module that others' weights filled.
    """

    composer: ModuleType
    training: ModuleType
    load_weights: Optional[Callable[[nn.Module, Path, Optional[str]], None]]
    load_clip: Callable[[nn.Module, str], FrozenSet[str]]
    licence: str
    load_text: Callable[[nn.Module, str], FrozenSet[str]] = clip_weights.load_text
    load_tower: Optional[Callable[[nn.Module, Path], FrozenSet[str]]] = None
    check_begun: Optional[Callable[[nn.Module, FrozenSet[str]], None]] = None


METHODS: Dict[str, Method] = {
    "clip": Method(
        composer=clip,
        training=clip,
        load_weights=None,
        load_clip=clip_weights.load_clip,
        licence="",
    ),
    "fc-clip": Method(
        composer=fc_clip,
        training=fc_clip_training,
        load_weights=fc_clip_weights.load_weights,
        load_clip=clip_weights.load_clip,
        licence="FC-CLIP: Apache-2.0",
    ),
    "gkc": Method(
        composer=gkc,
        training=gkc_training,
        load_weights=None,
        load_clip=gkc_weights.load_clip,
        licence="",
        load_text=gkc_weights.load_text,
        load_tower=gkc_weights.load_tower,
    ),
    "ovseg": Method(
        composer=ovseg,
        training=ovseg_training,
        load_weights=ovseg_weights.load_weights,
        load_clip=ovseg_weights.load_clip,
        licence="OVSeg: CC BY-NC 4.0",
        load_tower=ovseg_weights.load_tower,
        check_begun=ovseg_weights.check_begun,
    ),
    "pacl": Method(
        composer=pacl,
        training=pacl_training,
        load_weights=None,
        load_clip=pacl_weights.load_clip,
        licence="",
        load_text=pacl_weights.load_text,
        load_tower=dino_weights.load_tower,
    ),
}
