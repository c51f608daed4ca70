"""Backbones that learned to classify images: proposals begin with them, the rest stays."""

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.convert.matching import published_shapes
from lexiseg_models.convert.ovseg import proposal_rules
from lexiseg_models.convert.tensors import CheckpointError
from lexiseg_models.export.command import main
from lexiseg_models.export.inspection import read_manifest
from lexiseg_models.methods import METHODS

OVSEG = METHODS["ovseg"]


RESNET = {
    "kind": "resnet",
    "blocks": [1, 1, 1, 3],
    "stem_width": 16,
    "width": 8,
    "last_dilations": [1, 2, 4],
}


def network(config="tiny", *, seed=1, backbone=None):
    torch.manual_seed(seed)
    raw = read_config("ovseg", config)
    if backbone is not None:
        raw["backbone"] = backbone
    return OVSEG.composer.build(OVSEG.composer.parse_config(raw))


def classifier(*, norms=False):
    """A Swin as its authors publish it, and its weights by our names."""
    state = network(seed=2).state_dict()
    published, ours = {}, {}
    for theirs, (name, _) in published_shapes(network(), proposal_rules(network())).items():
        own_norm = name.startswith("backbone.norms.")
        if not name.startswith("backbone.") or (own_norm and not norms):
            continue
        # Norms begin as ones and zeros everywhere.
        ours[name] = torch.randn_like(state[name])
        published[theirs.removeprefix("backbone.")] = ours[name]
    return published, ours


def imagenet_parts():
    return {
        "norm.weight": torch.ones(128),
        "norm.bias": torch.zeros(128),
        "head.weight": torch.zeros(1000, 128),
        "head.bias": torch.zeros(1000),
        "layers.0.blocks.0.attn.relative_position_index": torch.zeros(16, 16, dtype=torch.int64),
        "layers.2.blocks.1.attn_mask": torch.zeros(4, 16, 16),
    }


@pytest.mark.parametrize("prefix", ["", "backbone."])
@pytest.mark.parametrize("norms", [False, True])
def test_proposals_begin_with_a_classifier_of_images(tmp_path, prefix, norms):
    published, ours = classifier(norms=norms)
    path = tmp_path / "swin.pth"
    named = {prefix + name: tensor for name, tensor in published.items()}
    torch.save({"model": {**named, **imagenet_parts()}}, path)
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert OVSEG.load_tower(module, path) == frozenset(ours)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, ours.get(name, before[name])), name


def test_a_resnet_comes_by_detectron2s_names(tmp_path):
    module = network(backbone=RESNET)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    table = published_shapes(module, proposal_rules(module))
    ours = {name: theirs for theirs, (name, _) in table.items() if name.startswith("backbone.")}
    given = {name: torch.rand_like(before[name].float()) for name in ours}
    path = tmp_path / "resnet.pth"
    named = {ours[name].removeprefix("backbone."): tensor for name, tensor in given.items()}
    assert "res5.2.conv3.norm.running_var" in named
    torch.save({"model": {**named, "fc.weight": torch.zeros(1000, 256)}}, path)
    assert OVSEG.load_tower(module, path) == frozenset(given)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, given.get(name, before[name])), name


def test_every_fault_is_named(tmp_path):
    published, _ = classifier()
    del published["layers.2.blocks.1.mlp.fc1.weight"]
    published["layers.0.blocks.0.attn.relative_position_bias_table"] = torch.zeros(9, 1)
    published["layers.4.extra"] = torch.zeros(1)
    path = tmp_path / "swin.pth"
    torch.save(published, path)
    with pytest.raises(CheckpointError, match=r"\(3 faults\)") as failure:
        OVSEG.load_tower(network(), path)
    for name in ("blocks.1.mlp.fc1.weight", "relative_position_bias_table", "layers.4.extra"):
        assert name in str(failure.value)


def test_a_network_without_proposals_has_no_such_backbone(tmp_path):
    path = tmp_path / "swin.pth"
    torch.save(classifier()[0], path)
    with pytest.raises(CheckpointError, match="proposes no masks"):
        OVSEG.load_tower(network("tiny_regions"), path)


def test_the_bundle_says_what_it_began_with(tmp_path):
    path, out = tmp_path / "swin.pth", tmp_path / "begun.pt"
    torch.save({"model": classifier()[0]}, path)
    arguments = ["ovseg", "--config", "tiny", "--random-init", "--trainable"]
    assert main(["export", *arguments, "--tower", str(path), "--out", str(out)]) == 0
    assert "image tower of swin.pth" in read_manifest(out)["weights"]["source"]
