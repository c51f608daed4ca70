"""Conversion of a checkpoint with published names: two inputs, and one error that lists all."""

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.convert.fc_clip import CLIP_PREFIX, TRAINED_RULES, clip_rules, load_weights
from lexiseg_models.convert.matching import published_name
from lexiseg_models.convert.tensors import CheckpointError
from lexiseg_models.methods import fc_clip
from safetensors.torch import save_file


def config(resnet=False):
    raw = read_config("fc-clip", "tiny")
    raw["clip"]["text_encoder"]["vocabulary_size"] = 64
    if resnet:
        raw["clip"]["image_tower"] = {
            "kind": "clip-resnet",
            "blocks": [1, 2, 1, 1],
            "width": 8,
            "heads": 4,
            "position_grid": 3,
        }
    return fc_clip.parse_config(raw)


class Source:
    """A network of random values and its tensors under published names."""

    def __init__(self, resnet=False):
        torch.manual_seed(11)
        self.config = config(resnet)
        self.module = fc_clip.build(self.config)
        for tensor in self.module.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1.0)
        state = self.module.state_dict()
        rules = clip_rules(self.module)
        self.clip = {}
        self.trained = {}
        for name, tensor in state.items():
            try:
                self.trained[published_name(name, TRAINED_RULES)] = tensor
            except KeyError:
                self.clip[published_name(name, rules)] = tensor

    def convert(self, folder, trained=None, clip=None, give_clip=True):
        torch.save(self.trained if trained is None else trained, folder / "m.pth")
        tensors = {k: v.clone() for k, v in (self.clip if clip is None else clip).items()}
        save_file(tensors, folder / "clip.safetensors")
        with torch.device("meta"):
            module = fc_clip.build(self.config)
        load_weights(
            module, folder / "m.pth", str(folder / "clip.safetensors") if give_clip else None
        )
        return module

    def assert_same(self, module):
        state = module.state_dict()
        for name, tensor in self.module.state_dict().items():
            assert state[name].device.type == "cpu", name
            assert torch.equal(state[name], tensor), name


@pytest.fixture(params=[False, True], ids=["convnext", "resnet"])
def source(request):
    return Source(request.param)


def test_fills_every_tensor_from_two_files(source, tmp_path):
    source.assert_same(source.convert(tmp_path))


def test_takes_nested_and_flat_files_and_ignores_the_loss_weights(source, tmp_path):
    extra = {**source.trained, "criterion.empty_weight": torch.ones(134)}
    source.assert_same(source.convert(tmp_path, trained=extra))
    source.assert_same(source.convert(tmp_path, trained={"model": extra, "iteration": 3}))
    source.assert_same(source.convert(tmp_path, trained={"state_dict": extra}))


def test_takes_clip_with_its_prefix_in_either_file(source, tmp_path):
    prefixed = {CLIP_PREFIX + name: tensor for name, tensor in source.clip.items()}
    source.assert_same(source.convert(tmp_path, clip=prefixed))
    both = {**source.trained, **prefixed}
    source.assert_same(source.convert(tmp_path, trained=both, give_clip=False))
    source.assert_same(source.convert(tmp_path, trained=both))


def test_takes_a_state_dict_for_clip_and_the_numbers_of_its_first_releases(source, tmp_path):
    numbers = {"input_resolution": torch.tensor(224), "vocab_size": torch.tensor(64)}
    torch.save({**source.clip, **numbers}, tmp_path / "clip.bin")
    torch.save(source.trained, tmp_path / "m.pth")
    with torch.device("meta"):
        module = fc_clip.build(source.config)
    load_weights(module, tmp_path / "m.pth", str(tmp_path / "clip.bin"))
    source.assert_same(module)


def test_half_precision_files_become_float32(source, tmp_path):
    half = {k: v.half() if v.is_floating_point() else v for k, v in source.clip.items()}
    module = source.convert(tmp_path, clip=half)
    assert {p.dtype for p in module.parameters()} == {torch.float32}


def test_counters_of_training_steps_may_be_missing(tmp_path):
    source = Source(resnet=True)
    clip = {k: v for k, v in source.clip.items() if not k.endswith("num_batches_tracked")}
    assert len(clip) < len(source.clip)
    source.convert(tmp_path, clip=clip)


def test_one_error_lists_everything_that_does_not_fit(source, tmp_path):
    trained, clip = dict(source.trained), dict(source.clip)
    del trained["void_embedding.weight"]
    trained["sem_seg_head.predictor.query_feat.weight"] = torch.zeros(100, 64)
    trained["sem_seg_head.predictor.class_embed.weight"] = torch.zeros(134, 64)
    del clip["ln_final.bias"]
    clip["visual.extra"] = torch.zeros(2)
    clip["text_projection"] = clip["text_projection"].t().contiguous()
    clip["logit_scale"] = torch.tensor(float("nan"))
    with pytest.raises(CheckpointError) as error:
        source.convert(tmp_path, trained=trained, clip=clip)
    message = str(error.value)
    assert "(7 faults)" in message
    for line in (
        "missing   checkpoint: void_embedding.weight [1, 64]",
        "misshapen checkpoint: sem_seg_head.predictor.query_feat.weight [100, 64], expected",
        "surplus   checkpoint: sem_seg_head.predictor.class_embed.weight [134, 64]",
        "missing   CLIP: ln_final.bias [24]",
        "surplus   CLIP: visual.extra [2]",
        "misshapen CLIP: text_projection [64, 24], expected [24, 64]",
        "not finite CLIP: logit_scale",
    ):
        assert line in message


def test_says_that_clip_is_missing(source, tmp_path):
    with pytest.raises(CheckpointError, match="--clip"):
        source.convert(tmp_path, give_clip=False)


def test_refuses_clip_twice_with_other_values(source, tmp_path):
    both = {**source.trained, CLIP_PREFIX + "logit_scale": torch.tensor(9.0)}
    with pytest.raises(CheckpointError, match=r"contradictory: backbone.clip_model.logit_scale"):
        source.convert(tmp_path, trained=both)


def test_refuses_clip_of_another_size(source, tmp_path):
    other = Source(resnet=source.config.image_tower.__class__.__name__ == "ConvNextConfig")
    with pytest.raises(CheckpointError, match="missing"):
        source.convert(tmp_path, clip=other.clip)
