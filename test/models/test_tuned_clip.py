"""CLIPs tuned on masked crops: training checkpoints, and mask prompts that go where theirs goes."""

import json

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.convert.matching import published_shapes
from lexiseg_models.convert.ovseg import CLIP_PREFIX, CLIP_RULES, proposal_rules
from lexiseg_models.convert.tensors import CheckpointError
from lexiseg_models.export.command import main
from lexiseg_models.methods import METHODS

OVSEG = METHODS["ovseg"]
PROMPTS = "mask_prompts.tokens"


def network(config, *, seed, trainable=False, prompts=None):
    raw = read_config("ovseg", config)
    # A projection of tokens, as tiny towers have, has no published name.
    raw["clip"]["text_encoder"]["token_width"] = raw["clip"]["text_encoder"]["width"]
    if prompts is not None:
        raw["regions"] = {**raw["regions"], "prompts": prompts}
    torch.manual_seed(seed)
    if trainable:
        return OVSEG.training.build_trainable(raw)
    return OVSEG.composer.build(OVSEG.composer.parse_config(raw))


def named(module, rules):
    """Weights by their published names, and those names by ours."""
    state = module.state_dict()
    table = published_shapes(module, rules)
    return {theirs: state[ours].clone() for theirs, (ours, _) in table.items()}, {
        ours: theirs for theirs, (ours, _) in table.items()
    }


@pytest.fixture
def tuned(tmp_path):
    """Writes what the fork's trainer does, and gives the file and the weights by our names."""

    def write(*, prompts):
        module = network("tiny_regions", seed=11, trainable=True, prompts=prompts)
        tensors, names = named(module, CLIP_RULES)
        assert ("visual.mask_embedding" in tensors) == prompts
        path = tmp_path / "epoch_5.pt"
        content = {
            "epoch": 5,
            "name": "a run",
            "state_dict": {f"module.{name}": tensor for name, tensor in tensors.items()},
            "optimizer": {
                "state": {0: {"step": torch.tensor(3.0)}},
                "param_groups": [{"lr": 5e-6}],
            },
            "scaler": {"scale": 65536.0},
        }
        torch.save(content, path)
        return path, {ours: tensors[theirs] for ours, theirs in names.items()}

    return write


@pytest.fixture
def released(tmp_path):
    """A checkpoint of the whole system, with mask prompts; and its weights by our names."""
    module = network("tiny", seed=12)
    own, own_names = named(module, proposal_rules(module))
    clip, _ = named(module, CLIP_RULES)
    path = tmp_path / "released.pth"
    unused = {"clip_adapter.pixel_mean": torch.zeros(3), "criterion.empty_weight": torch.ones(172)}
    inside = {**clip, "logit_scale": torch.tensor(4.6)}
    content = {**own, **unused, **{CLIP_PREFIX + name: tensor for name, tensor in inside.items()}}
    torch.save({"model": content}, path)
    return path, {ours: own[theirs] for ours, theirs in own_names.items()}


def check_taken(module, given):
    state = module.state_dict()
    names = [name for name in given if name in state]
    assert len(names) > 40
    assert all(torch.equal(state[name], given[name]) for name in names)


@pytest.mark.parametrize(
    "config, prompts", [("tiny_regions", False), ("tiny_prompts_regions", True)]
)
def test_adapting_begins_with_a_training_checkpoint(tuned, tmp_path, config, prompts):
    path, given = tuned(prompts=True)
    out, own = tmp_path / "out.pt", tmp_path / "own.json"
    own.write_text(json.dumps({"extends": config, "clip": {"text_encoder": {"token_width": 32}}}))
    start = ["export", "ovseg", "--config", str(own), "--random-init", "--clip", str(path)]
    assert main([*start, "--trainable", "--out", str(out)]) == 0
    taken = torch.jit.load(str(out))
    learned = {name for name, _ in taken.named_parameters()}
    assert (PROMPTS in learned) == prompts and "classifier.logit_scale" in learned
    check_taken(taken, {name: tensor for name, tensor in given.items() if name in learned})


def test_a_tuned_clip_leaves_the_proposals_as_they_are(tuned):
    path, given = tuned(prompts=True)
    module = network("tiny", seed=13)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    OVSEG.load_clip(module, str(path))
    check_taken(module, given)
    rest = [name for name in before if name not in given]
    assert len(rest) > 40 and all(torch.equal(module.state_dict()[n], before[n]) for n in rest)


@pytest.mark.parametrize("prompts", [True, False])
def test_a_tuned_clip_takes_the_place_of_the_released_one(tuned, released, prompts):
    path, given = tuned(prompts=prompts)
    checkpoint, own = released
    with torch.device("meta"):
        module = network("tiny", seed=0, prompts=prompts)
    OVSEG.load_weights(module, checkpoint, str(path))
    check_taken(module, given)
    check_taken(module, own)
    assert (PROMPTS in module.state_dict()) == prompts
    # A bundle holds every buffer, those too that no checkpoint has.
    assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))


def test_prompts_of_another_tower_are_never_kept(tuned, released):
    path, given = tuned(prompts=False)
    with torch.device("meta"):
        module = network("tiny", seed=0)
    with pytest.raises(CheckpointError, match=r"1 faults\)[^,]*mask_embedding.*regions\.prompts"):
        OVSEG.load_weights(module, released[0], str(path))
    # Training proposals does not tune them either.
    for trainable in (False, True):
        with pytest.raises(CheckpointError, match=r"mask_embedding.*regions\.prompts is false"):
            OVSEG.load_clip(network("tiny", seed=14, trainable=trainable), str(path))
    module = network("tiny_prompts_regions", seed=15, trainable=True)
    fresh = module.state_dict()[PROMPTS].clone()
    OVSEG.load_clip(module, str(path))
    check_taken(module, given)
    assert torch.equal(module.state_dict()[PROMPTS], fresh)
