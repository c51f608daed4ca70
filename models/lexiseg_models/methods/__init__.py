"""The table of methods: the name on the command line, what composes it and what converts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, Optional

from torch import nn

from lexiseg_models.convert import fc_clip as fc_clip_weights
from lexiseg_models.methods import fc_clip


@dataclass(frozen=True)
class Method:
    """How a method is made.

    Attributes:
        composer: module with parse_config, build, keep_float32, METHODS, STAGES and TASKS.
        load_weights: fills a module from a published checkpoint and CLIP's weights.
        licence: of the published weights, without CLIP's.
    """

    composer: ModuleType
    load_weights: Callable[[nn.Module, Path, Optional[str]], None]
    licence: str


METHODS: Dict[str, Method] = {
    "fc-clip": Method(
        composer=fc_clip,
        load_weights=fc_clip_weights.load_weights,
        licence="FC-CLIP: Apache-2.0",
    ),
}
