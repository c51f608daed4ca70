"""Patch-aligned segmentation: what its parts do together, and what must not change it."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import ConfigError, config_names, read_config
from lexiseg_models.export.command import main
from lexiseg_models.export.inspection import read_manifest
from lexiseg_models.methods import pacl, pacl_training
from lexiseg_models.parts.dense import PatchGrid
from torch import Tensor


def config(**changes: dict[str, object]) -> dict[str, object]:
    """The tiny config with some sections changed."""
    raw = copy.deepcopy(read_config("pacl", "tiny"))
    for name, change in changes.items():
        raw[name] = {**raw[name], **change}
    return raw


@pytest.fixture(scope="module")
def network() -> pacl_training.TrainablePacl:
    torch.manual_seed(4)
    return pacl_training.build_trainable(config())


@pytest.fixture(scope="module")
def image() -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (2, 70, 90, 3), dtype=torch.uint8, generator=generator)


def embeddings(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return F.normalize(torch.randn(count, 64, generator=generator), dim=1)


@pytest.mark.parametrize("name", config_names("pacl"))
def test_every_config_is_sound(name):
    parsed = pacl.parse_config(read_config("pacl", name))
    with torch.device("meta"):
        module = pacl_training.build_trainable(read_config("pacl", name))
    embedder = sum(p.numel() for p in module.patch_embedder.parameters())
    width, dim = parsed.image_tower.width, parsed.embedding_dim
    if parsed.dense.embedder == "projection":
        assert embedder == 0
        return
    assert embedder == 2 * width * dim + dim * dim + 3 * dim
    published = {(768, 512): 1_050_112, (1024, 768): 2_164_992}
    assert embedder == published.get((width, dim), embedder)


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"dense": {"stride": 9}}, "at most 8 for dense.stride"),
        ({"dense": {"embedder": "magic"}}, "residual or projection"),
        ({"dense": {"embedder": "projection", "final_norm": False}}, "dense.final_norm"),
        ({"dense": {"embedder_start": "projection", "final_norm": False}}, "dense.final_norm"),
        (
            {"dense": {"embedder": "projection", "embedder_start": "projection"}},
            "random for dense.embedder_start",
        ),
        ({"objective": {"scale": 0}}, "above 0 and at most 100 for objective.scale"),
    ],
)
def test_unsound_configs_are_refused(changes, what):
    with pytest.raises(ConfigError, match=what):
        pacl.parse_config(config(**changes))


@pytest.mark.parametrize("patch, stride", [(16, 4), (16, 8), (14, 4), (14, 7), (8, 8)])
def test_the_centres_of_cells_are_those_of_patches(patch, stride):
    maps = torch.zeros(1, 3, 5, 7)
    side = patch + 4 * stride
    top, left, height, width = PatchGrid(patch=patch, stride=stride, exact=True)(maps, side, 99)
    for begin, length, patches in ((top, height, 5), (left, width, 7)):
        cells = begin + (torch.arange(patches) + 0.5) * length / patches
        torch.testing.assert_close(cells, patch / 2 + stride * torch.arange(patches))


def test_a_plain_grid_fills_the_network_input():
    area = PatchGrid(patch=16, stride=4, exact=False)(torch.zeros(1, 3, 13, 20), 64, 95)
    assert area.tolist() == [0, 0, 64, 95]


def test_logits_are_scaled_cosines_of_the_best_synonym(network, image):
    text = embeddings(4)
    with torch.no_grad():
        logits, area, valid_size = network.segment_dense(image, text, torch.tensor([1, 2, 1]))
        cosines, _, _ = network.patch_similarity(image, text)
    assert area.tolist() == [2, 2, 60, 76] and valid_size.tolist() == [64, 82]
    assert logits.shape == (2, 3, 15, 19) and cosines.shape == (2, 4, 15, 19)
    assert float(cosines.abs().max()) <= 1.0 + 1e-5
    best = torch.stack((cosines[:, 0], cosines[:, 1:3].amax(1), cosines[:, 3]), dim=1)
    torch.testing.assert_close(logits, network.classifier.scale().detach() * best)


def test_a_repeated_synonym_changes_nothing_and_order_only_reorders(network, image):
    text = embeddings(3)
    one = torch.tensor([1, 1, 1])
    with torch.no_grad():
        for method in (lambda *a: network.segment_dense(*a)[0], network.classify_image):
            plain = method(image, text, one)
            twice = method(image, text[[0, 1, 1, 2]], torch.tensor([1, 2, 1]))
            torch.testing.assert_close(plain, twice)
            torch.testing.assert_close(method(image, text[[2, 0, 1]], one), plain[:, [2, 0, 1]])


def test_every_class_pools_the_patches_of_an_image_for_itself(network, image):
    text = embeddings(3)
    with torch.no_grad():
        logits = network.classify_image(image, text, torch.tensor([1, 1, 1]))
        patches = network.embed_patches(network.preprocess(image)[0], 8).flatten(1, 2)
        for b in range(2):
            for j in range(3):
                weight = (10.0 * F.cosine_similarity(patches[b], text[j], dim=1)).softmax(0)
                pooled = (weight.unsqueeze(1) * patches[b]).sum(0)
                expected = network.classifier.scale() * F.cosine_similarity(pooled, text[j], dim=0)
                torch.testing.assert_close(logits[b, j], expected, rtol=1e-4, atol=1e-4)


def test_without_an_embedder_patches_go_through_clips_own_projection(image):
    torch.manual_seed(6)
    baseline = pacl.build(pacl.parse_config(config(dense={"embedder": "projection"})))
    text = embeddings(2)
    with torch.no_grad():
        prepared = baseline.preprocess(image)[0]
        _, tokens = baseline.image_tower(prepared, 4)
        embedded = tokens.permute(0, 2, 3, 1) @ baseline.image_tower.projection
        expected = F.normalize(embedded, dim=3) @ text.t()
        found = baseline.similarities(prepared, text)
    torch.testing.assert_close(found, expected.permute(0, 3, 1, 2))


@pytest.mark.parametrize("kind", ["vision-transformer", "pooled-transformer", "dino-transformer"])
def test_tokens_may_be_taken_before_the_last_norm(image, kind):
    raw = config(dense={"final_norm": False})
    tower = {**raw["clip"]["image_tower"], "kind": kind}
    if kind == "dino-transformer":
        del tower["activation"]
        tower.update(prefix_tokens=1, layer_scale=False)
    raw["clip"] = {**raw["clip"], "image_tower": tower}
    torch.manual_seed(8)
    module = torch.jit.script(pacl.build(pacl.parse_config(raw)))
    with torch.no_grad():
        tokens, embeddings, _, _ = module.encode_patches(image)
        normed = module.image_tower(module.preprocess(image)[0], 8)[1].permute(0, 2, 3, 1)
        torch.testing.assert_close(module.image_tower.norm(tokens), normed)
        assert not torch.allclose(tokens, normed, atol=0.1)
        expected = F.normalize(module.patch_embedder(tokens), dim=3)
    torch.testing.assert_close(embeddings, expected)


def test_the_paper_is_literal_and_the_rest_is_practical():
    practical = pacl.parse_config(read_config("pacl", "vit_b_16"))
    paper = pacl.parse_config(read_config("pacl", "vit_b_16_paper"))
    assert (practical.objective.sharpness, paper.objective.sharpness) == (10.0, 1.0)
    assert practical.image_tower == paper.image_tower


def test_an_embedder_may_begin_near_the_projection_of_the_clip_that_is_taken(tmp_path):
    raw = config()
    own, clip, out = (tmp_path / name for name in ("own.json", "clip.pt", "out.pt"))
    own.write_text(json.dumps({**read_config("clip", "tiny"), "clip": raw["clip"]}))
    given = ["export", "clip", "--config", str(own), "--random-init", "--seed", "9"]
    assert main([*given, "--out", str(clip)]) == 0
    projection = torch.jit.load(str(clip)).state_dict()["image_tower.projection"]
    branches = {}
    for start in ("random", "projection"):
        own.write_text(json.dumps(config(dense={"embedder_start": start})))
        arguments = ["export", "pacl", "--config", str(own), "--random-init", "--clip", str(clip)]
        assert main([*arguments, "--out", str(out)]) == 0
        found = torch.jit.load(str(out)).state_dict()
        assert torch.equal(found["image_tower.projection"], projection)
        shortcut = found["patch_embedder.shortcut.weight"]
        assert torch.equal(shortcut, projection.t()) == (start == "projection")
        branches[start] = found["patch_embedder.project.weight"]
    torch.testing.assert_close(branches["projection"], 0.1 * branches["random"])


def test_a_fixed_scale_is_in_the_bundle_and_in_no_group(tmp_path):
    own, out = tmp_path / "own.json", tmp_path / "out.pt"
    scales = []
    for change in ({}, {"scale": 100.0, "scale_learned": False}):
        own.write_text(json.dumps({"extends": "tiny", "objective": change}))
        arguments = ["export", "pacl", "--config", str(own), "--random-init", "--trainable"]
        assert main([*arguments, "--out", str(out)]) == 0
        groups = {group["name"] for group in read_manifest(out)["training"]["groups"]}
        scale = torch.jit.load(str(out)).state_dict()["classifier.logit_scale"].exp()
        scales.append((float(scale), "logit_scale" in groups))
    assert scales == [(pytest.approx(1 / 0.07), True), (pytest.approx(100.0), False)]


@pytest.mark.parametrize("height, width", [(64, 82), (64, 64), (1, 300)])
def test_patches_lie_on_whole_squares_and_nothing_is_filled_in(network, height, width):
    image = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        tokens, _, grid_size, valid_size = network.encode_patches(image)
        seen = network.preprocess(image)[0]
    assert list(seen.shape[2:]) == valid_size.tolist()
    assert grid_size.tolist() == [8 * tokens.shape[1], 8 * tokens.shape[2]]
    assert tokens.shape[1:3] == tuple(max(side // 8, 1) for side in valid_size.tolist())


def test_only_the_embedder_and_the_scale_learn(network):
    groups = pacl_training.groups(network)
    frozen = {n for g in groups if g["frozen"] for n in g["parameters"]}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
    batch = {
        "images": torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8),
        "token_ids": torch.randint(1, 400, (3, 6)),
    }
    losses = network.losses(batch)
    (losses["image_to_text"] + losses["text_to_image"]).backward()
    learning = {n for n, p in network.named_parameters() if p.grad is not None}
    assert learning == {n for n, _ in network.named_parameters()} - frozen
    assert {n.split(".")[0] for n in learning} == {"patch_embedder", "classifier"}
    network.requires_grad_(False)
    network.zero_grad()


def test_a_tower_that_a_query_reads_serves_as_clips(image):
    torch.manual_seed(7)
    pooled = {"kind": "pooled-transformer"}
    raw = config()
    tower = {**raw["clip"]["image_tower"], **pooled}
    raw["clip"] = {**raw["clip"], "image_tower": tower}
    module = pacl_training.build_trainable(raw)
    assert "encode_image" in pacl.methods(pacl.parse_config(raw))
    text = embeddings(3)
    with torch.no_grad():
        whole = module.encode_image(image)
        read, _ = module.image_tower(module.preprocess(image)[0], 8)
        expected = F.normalize(read @ module.image_tower.projection, dim=1)
        torch.testing.assert_close(whole, expected)
        logits, area, _ = module.segment_dense(image, text, torch.tensor([1, 1, 1]))
    assert logits.shape == (2, 3, 15, 19) and area.tolist() == [2, 2, 60, 76]
