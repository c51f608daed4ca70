"""CLIP as OpenAI published it, TorchScript in half precision, in a method that begins with it."""

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.convert.clip import clip_rules
from lexiseg_models.convert.matching import published_shapes
from lexiseg_models.export.command import main
from lexiseg_models.methods import METHODS


@pytest.fixture
def published_clip(tmp_path):
    """OpenAI's names and file format, small: the weights of OVSeg's CLIP, and what they are."""
    with torch.device("cpu"):
        torch.manual_seed(11)
        raw = read_config("ovseg", "tiny_regions")
        module = METHODS["ovseg"].training.build_trainable(raw)
    rules = clip_rules(module)
    named = published_shapes(module, rules)
    state = module.state_dict()

    class Published(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for theirs, (ours, _) in named.items():
                *path, name = theirs.split(".")
                owner = self
                for part in path:
                    if not hasattr(owner, part):
                        owner.add_module(part, torch.nn.Module())
                    owner = getattr(owner, part)
                value = torch.nn.Parameter(state[ours].half(), requires_grad=False)
                owner.register_parameter(name, value)
            self.register_buffer("context_length", torch.tensor(77))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    path = tmp_path / "ViT-tiny.pt"
    torch.jit.save(torch.jit.script(Published()), path)
    return path, {ours: state[ours].half().float() for ours, _ in named.values()}


@pytest.mark.parametrize("config", ["proposals", "tiny_regions"])
@pytest.mark.parametrize("trainable", [False, True])
def test_ovseg_begins_with_a_published_clip(tmp_path, published_clip, config, trainable):
    clip, given = published_clip
    out, proposals = tmp_path / "out.pt", tmp_path / "proposals.json"
    # Nobody tuned mask prompts for this CLIP.
    proposals.write_text('{"extends": "tiny", "regions": {"prompts": false}}')
    name = str(proposals) if config == "proposals" else config
    own = ["export", "ovseg", "--config", name, "--random-init", "--clip", str(clip)]
    assert main([*own, *(["--trainable"] if trainable else []), "--out", str(out)]) == 0
    taken = torch.jit.load(str(out)).state_dict()
    shared = [name for name in given if name in taken]
    assert len(shared) > 20 and all(torch.equal(given[name], taken[name]) for name in shared)
    # Only what adapts CLIP has a scale that learns, and it begins with CLIP's.
    assert ("classifier.logit_scale" in taken) == (config == "tiny_regions" and trainable)
