"""The tower that never met texts, against timm's with the same weights, and PACL on it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from lexiseg_models.configuration import ConfigError, read_config
from lexiseg_models.convert.clip import TEXT_RULES
from lexiseg_models.convert.dino import load_tower
from lexiseg_models.convert.matching import published_shapes
from lexiseg_models.convert.pacl import load_clip
from lexiseg_models.convert.tensors import CheckpointError
from lexiseg_models.methods import clip, pacl, pacl_training
from lexiseg_models.parts.dino_transformer import DinoTransformer, DinoTransformerConfig
from torch import nn

TOWER = {
    "kind": "dino-transformer",
    "patch": 8,
    "grid": 8,
    "width": 48,
    "heads": 2,
    "layers": 2,
    "prefix_tokens": 3,
    "layer_scale": True,
}


def timm_tower(published, layer_scale: bool, grid: int = 6) -> nn.Module:
    tower = published.timm.models.vision_transformer.VisionTransformer(
        img_size=8 * grid,
        patch_size=8,
        embed_dim=48,
        depth=3,
        num_heads=4,
        num_classes=0,
        init_values=1.0 if layer_scale else None,
    )
    for parameter in tower.parameters():
        nn.init.normal_(parameter, std=0.2 if parameter.dim() > 1 else 0.5)
    return tower.eval()


def ours_with(state: dict[str, torch.Tensor], folder: Path, **changes: object) -> DinoTransformer:
    torch.save(state, folder / "tower.pth")
    config = {"patch": 8, "grid": 6, "width": 48, "heads": 4, "layers": 3, "prefix_tokens": 1}
    module = nn.Module()
    module.image_tower = DinoTransformer(DinoTransformerConfig(**{**config, **changes}))
    load_tower(module, folder / "tower.pth")
    return module.image_tower.eval()


@pytest.mark.parametrize("layer_scale", [False, True])
def test_gives_the_tokens_of_timm(published, tmp_path, layer_scale):
    tower = timm_tower(published, layer_scale)
    ours = ours_with(tower.state_dict(), tmp_path, layer_scale=layer_scale)
    image = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        expected = tower.forward_features(image)
        class_token, grid = ours(image, 8)
    torch.testing.assert_close(class_token, expected[:, 0], rtol=1e-4, atol=1e-4)
    tokens = grid.flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens, expected[:, 1:], rtol=1e-4, atol=1e-4)


def test_resizes_positions_as_timm_does(published, tmp_path):
    small, large = timm_tower(published, False, grid=6), timm_tower(published, False, grid=9)
    state = dict(small.state_dict())
    resize = published.timm.layers.resample_abs_pos_embed
    large.load_state_dict({**state, "pos_embed": resize(state["pos_embed"], [9, 9])})
    ours = ours_with(state, tmp_path, layer_scale=False)
    image = torch.randn(1, 3, 72, 72)
    with torch.no_grad():
        expected = large.forward_features(image)[:, 1:]
        tokens = ours(image, 8)[1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(tokens, expected, rtol=1e-3, atol=1e-3)


def test_registers_stand_between_without_a_place(tmp_path):
    torch.manual_seed(3)
    plain = DinoTransformer(DinoTransformerConfig(8, 6, 48, 4, 1, 1, False)).eval()
    more = DinoTransformer(DinoTransformerConfig(8, 6, 48, 4, 1, 3, False)).eval()
    more.load_state_dict(plain.state_dict(), strict=False)
    image = torch.randn(1, 3, 48, 48)
    with torch.no_grad():
        # By hand: one block over class token, registers and patches.
        x = plain.patches(image).flatten(2).transpose(1, 2)
        x = torch.cat([plain.class_token.expand(1, 1, -1), x], dim=1) + plain.position_embedding
        x = torch.cat([x[:, :1], more.register_tokens.unsqueeze(0), x[:, 1:]], dim=1)
        x = more.norm(more.blocks[0](x))
        class_token, grid = more(image, 8)
    torch.testing.assert_close(class_token, x[:, 0])
    torch.testing.assert_close(grid.flatten(2).transpose(1, 2), x[:, 3:])


def config() -> dict[str, object]:
    raw = copy.deepcopy(read_config("pacl", "tiny"))
    raw["clip"]["image_tower"] = dict(TOWER)
    return raw


def test_patches_of_it_can_be_aligned_with_texts():
    torch.manual_seed(6)
    module = pacl_training.build_trainable(config())
    scripted = torch.jit.script(module)
    batch = {
        "images": torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8),
        "token_ids": torch.randint(1, 400, (3, 6)),
    }
    sum(scripted.losses(batch).values()).backward()
    learning = {name.split(".")[0] for name, p in module.named_parameters() if p.grad is not None}
    assert "patch_embedder" in learning
    image = torch.randint(0, 256, (1, 70, 90, 3), dtype=torch.uint8)
    tokens, embeddings, _, _ = scripted.encode_patches(image)
    assert tokens.shape[:3] == embeddings.shape[:3] and tokens.shape[3] == 48
    assert not hasattr(scripted, "encode_image")
    assert "encode_image" not in pacl.methods(pacl.parse_config(config()))


def test_takes_the_text_tower_of_a_clip_and_leaves_its_own(tmp_path):
    raw = read_config("clip", "tiny")
    tower = clip.build_trainable(raw)
    torch.manual_seed(8)
    module = pacl_training.build_trainable(config())
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = tower.state_dict()
    named = published_shapes(tower, TEXT_RULES)
    torch.save({theirs: state[ours] for theirs, (ours, _) in named.items()}, tmp_path / "clip.bin")
    load_clip(module, str(tmp_path / "clip.bin"))
    for name, tensor in module.state_dict().items():
        if name in {ours for ours, _ in named.values()}:
            assert torch.equal(tensor, state[name])
        elif name.startswith("image_tower."):
            assert torch.equal(tensor, before[name])


def test_refuses_what_does_not_fit(tmp_path):
    raw = config()
    raw["dense"] = {**raw["dense"], "embedder": "projection"}
    with pytest.raises(ConfigError, match="has no projection"):
        pacl.parse_config(raw)
    torch.save({"cls_token": torch.zeros(1, 1, 48)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="comes? by --clip"):
        load_tower(pacl.build(pacl.parse_config(read_config("pacl", "tiny"))), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"missing +tower: pos_embed"):
        load_tower(pacl.build(pacl.parse_config(config())), tmp_path / "x.pth")
