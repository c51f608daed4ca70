"""CLIP with either kind of image tower."""

from __future__ import annotations

import pytest
import torch
from lexiseg_models.configuration import ConfigError, config_names, read_config
from lexiseg_models.export.command import main
from lexiseg_models.methods import clip
from torch import nn


def network(name: str) -> nn.Module:
    torch.manual_seed(1)
    return clip.build_trainable(read_config("clip", name))


def batch(side: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    shape = (4, side, side, 3)
    return {
        "images": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        "token_ids": torch.randint(1, 400, (4, 6), generator=generator),
    }


@pytest.mark.parametrize("name", config_names("clip"))
def test_images_and_texts_are_of_unit_length_and_both_towers_learn(name):
    module = network(name)
    side = read_config("clip", name)["image"]["shortest_edge"]
    inputs = batch(side)
    with torch.no_grad():
        images, texts = (
            module.encode_image(inputs["images"]),
            module.encode_text(inputs["token_ids"]),
        )
    assert images.shape == texts.shape
    torch.testing.assert_close(images.norm(dim=1), torch.ones(4))
    losses = module.losses(inputs)
    (losses["image_to_text"] + losses["text_to_image"]).backward()
    grouped = {n for g in clip.groups(module) for n in g["parameters"]}
    assert grouped == {n for n, _ in module.named_parameters()}
    learning = {n.split(".")[0] for n, p in module.named_parameters() if p.grad is not None}
    assert {"image_tower", "text_encoder", "classifier"} <= learning


def test_a_vision_transformer_takes_no_boxes():
    module = network("demo_vit")
    with pytest.raises(ValueError, match="no boxes for a vision transformer"):
        module.losses({**batch(128), "boxes": torch.tensor([[0, 0, 0, 32, 32]])})


def test_a_pooled_transformer_reads_each_box_for_itself():
    module = network("demo_pooled")
    boxes = torch.tensor([[0, 0, 0, 64, 64], [3, 64, 64, 128, 128], [2, 0, 0, 128, 128]])
    canvases = module.preprocess.normalise(batch(128)["images"])
    with torch.no_grad():
        embedded = module.embed_boxes(canvases, boxes)
        whole = module.embed_images(canvases)
        moved = canvases.clone()
        # What is read changes with the box alone, though all patches are its context.
        moved[0, :, 64:] = 0
        context = module.embed_boxes(moved, boxes)
    torch.testing.assert_close(embedded[2], whole[2])
    assert not torch.allclose(embedded[0], whole[0], atol=1e-3)
    assert not torch.equal(context[0], embedded[0])
    torch.testing.assert_close(context[1:], embedded[1:])
    losses = module.losses({**batch(128), "token_ids": batch(128)["token_ids"][:3], "boxes": boxes})
    assert torch.isfinite(losses["image_to_text"])
    with pytest.raises(ValueError, match="multiples of the patch"):
        module.embed_boxes(canvases[:, :, :, :124], boxes[:1])
    with pytest.raises(ValueError, match="inside their canvases"):
        module.embed_boxes(canvases, boxes + 1)


def test_a_backbone_without_a_clip_head_is_refused():
    raw = read_config("clip", "tiny")
    raw["clip"]["image_tower"] = {"kind": "swin"}
    with pytest.raises(ConfigError, match="convnext or vision-transformer or pooled-transformer"):
        clip.parse_config(raw)


def test_a_tower_may_learn_to_meet_texts_that_are_there(tmp_path, capsys):
    given, out = tmp_path / "given.pt", tmp_path / "out.pt"
    random = ["export", "clip", "--config", "tiny", "--random-init"]
    assert main([*random, "--seed", "3", "--out", str(given)]) == 0
    assert main([*random, "--seed", "4", "--text", str(given), "--out", str(out)]) == 0
    theirs, ours = (torch.jit.load(str(path)).state_dict() for path in (given, out))
    for name, tensor in theirs.items():
        if name.startswith("text_encoder."):
            assert torch.equal(ours[name], tensor)
    assert torch.equal(ours["classifier.logit_scale"], theirs["classifier.logit_scale"])
    convolutions = [
        name for name in theirs if name.startswith("image_tower.") and "patches" in name
    ]
    assert any(not torch.equal(ours[name], theirs[name]) for name in convolutions)
    both = [*random, "--text", str(given), "--clip", str(given), "--out", str(out)]
    assert main(both) == 2
    assert "--text" in capsys.readouterr().err
