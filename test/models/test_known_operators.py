"""What the native core lets a bundle use holds all that the networks here are made of."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.ops import load_ops
from torch import nn

_LIST = Path(__file__).parents[2] / "native/core/known_operators.cpp"
# Of every method one config for each kind of part that it has.
_KINDS = {
    "clip": ("demo", "demo_pooled", "demo_vit"),
    "fc_clip_training": ("convnext_large_d_320", "rn50"),
    "gkc_training": ("demo", "rn50"),
    "ovseg_training": (
        *("swin_b_vit_l_14", "r101c_vit_b_16_no_prompts"),
        *("demo_regions", "demo_prompts_regions"),
    ),
    "pacl_training": ("vit_b_16", "dino_vit_b_16", "dinov2_vit_b_14"),
}


def known() -> set[str]:
    names = set(" ".join(re.findall(r'^\s+"([\w ]+)"', _LIST.read_text(), re.M)).split())
    assert {"conv2d", "softmax"} < names
    return names


def operators(module: nn.Module) -> set[str]:
    """Of LibTorch, in all methods and what they call."""
    found: set[str] = set()

    def look(block: torch._C.Block) -> None:
        for node in block.nodes():
            if node.kind().startswith("aten::"):
                found.add(node.kind().removeprefix("aten::"))
            for inner in node.blocks():
                look(inner)

    script = torch.jit.script(module)._c
    for name in script._method_names():
        graph = script._get_method(name).graph.copy()
        torch._C._jit_pass_inline(graph)
        look(graph)
    return found


@pytest.mark.parametrize(
    "method, config", [(method, config) for method, configs in _KINDS.items() for config in configs]
)
def test_every_operator_of_a_network_is_known(method: str, config: str) -> None:
    load_ops()
    folder = method.removesuffix("_training").replace("_", "-")
    with torch.device("meta"):
        build = import_module(f"lexiseg_models.methods.{method}").build_trainable
        module = build(read_config(folder, config))
    assert operators(module) - known() == set()
