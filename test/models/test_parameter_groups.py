"""Which parameters decay, and which are held within bounds."""

import math

import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.methods import METHODS


def test_scales_of_cosines_are_held_under_a_hundred():
    for method, config in (("clip", "tiny"), ("pacl", "tiny"), ("gkc", "tiny")):
        training = METHODS[method].training
        groups = training.groups(training.build_trainable(read_config(method, config)))
        bounded = {
            name: group["bounds"]
            for group in groups
            for name in group["parameters"]
            if "bounds" in group
        }
        assert list(bounded) == ["classifier.logit_scale"]
        least, most = bounded["classifier.logit_scale"]
        assert least == 0.0 and 99.9 < math.exp(most) < 100.0


def test_the_norms_of_a_resnet_stay_as_they_are():
    training = METHODS["ovseg"].training
    with torch.device("meta"):
        module = training.build_trainable(read_config("ovseg", "r101c_vit_b_16"))
    learns = {name: not g["frozen"] for g in training.groups(module) for name in g["parameters"]}
    backbone = {name: one for name, one in learns.items() if name.startswith("backbone.")}
    norms = {name for name in backbone if ".norm." in name}
    assert len(norms) == 2 * len(backbone) / 3
    assert all(one == (name not in norms) for name, one in backbone.items())
    # Group norms of what is trained from the start learn.
    assert learns["pixel_decoder.deepest.norm.weight"]


def test_prompts_and_the_published_void_do_not_decay():
    def exempt(method: str, config: str) -> set[str]:
        training = METHODS[method].training
        groups = training.groups(training.build_trainable(read_config(method, config)))
        return {n for group in groups if not group["decayed"] for n in group["parameters"]}

    assert "mask_prompts.tokens" in exempt("ovseg", "tiny_prompts_regions")
    assert "void_embedding.weight" in exempt("fc-clip", "tiny")
    assert "void_embedding.weight" not in exempt("ovseg", "tiny")
