"""PACL: a published CLIP's weights, converted and run from Node, against the oracle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from lexiseg_models.ops import load_ops
from torch.nn import functional

from oracle.drawing import draw_picture
from oracle.pacl import (
    Embedder,
    PaclClip,
    PaclSizes,
    at_pixels,
    compatibility,
    network_input,
)
from oracle.vocabulary import tokenize

from .exporting import run_exporter
from .pictures import read, run_on_pictures

RUNNER = Path(__file__).with_name("run-dense.mjs")
SIZES = PaclSizes()
WORDS = ["cat", "sofa", "wooden floor", "window", "floor lamp"]
TEMPLATES = Path(__file__).parents[2] / "models" / "vocabularies" / "templates_imagenet_7.json"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> tuple[PaclClip, Embedder, float, Path]:
    folder = tmp_path_factory.mktemp("pacl")
    oracle = PaclClip(SIZES)
    oracle.randomise(1)
    torch.save(dict(oracle.state_dict()), folder / "clip.bin")
    text = SIZES.text
    config = {
        "extends": "common",
        "image": {"shortest_edge": SIZES.edge, "longest_edge": 200},
        "clip": {
            "model": "random values in the published layout",
            "pretrained": "none",
            "licence": "Apache-2.0",
            "embedding_dim": SIZES.embed_dim,
            "image_tower": {
                "kind": "vision-transformer",
                "patch": SIZES.patch,
                "grid": SIZES.grid,
                "width": SIZES.width,
                "heads": SIZES.heads,
                "layers": SIZES.layers,
                "activation": "quick_gelu",
            },
            "text_encoder": {
                "width": text.width,
                "token_width": text.width,
                "heads": text.heads,
                "layers": text.layers,
                "context_length": text.context_length,
                "vocabulary_size": text.vocab_size,
                "activation": "quick_gelu",
            },
        },
        "dense": {"stride": SIZES.stride},
        "objective": {"sharpness": SIZES.sharpness},
    }
    (folder / "sizes.json").write_text(json.dumps(config))
    done = run_exporter(
        [
            *("export", "pacl", "--config", str(folder / "sizes.json"), "--random-init"),
            *("--clip", str(folder / "clip.bin"), "--out", str(folder / "pacl.pt")),
        ]
    )
    assert done.returncode == 0, done.stderr
    load_ops()
    state = torch.jit.load(str(folder / "pacl.pt")).state_dict()
    own = {n.removeprefix("patch_embedder."): t for n, t in state.items() if "embedder" in n}
    # The published scale belongs to CLIP's own training; an embedder learns from its own start.
    scale = float(state["classifier.logit_scale"].exp())
    assert scale == pytest.approx(1.0 / 0.07)
    return oracle, Embedder(own), scale, folder / "pacl.pt"


def test_node_agrees_with_the_oracle(
    subject: tuple[PaclClip, Embedder, float, Path], tmp_path: Path
) -> None:
    oracle, embedder, scale, bundle = subject
    pictures = [draw_picture(90, 125, seed=1), draw_picture(111, 84, seed=4)]
    run_on_pictures(RUNNER, bundle, pictures, [[word] for word in WORDS], tmp_path)

    texts = class_embeddings(oracle)
    for i, picture in enumerate(pictures):
        image = network_input(picture, SIZES.edge)
        valid = list(image.shape[1:])
        output = list(picture.shape[:2])
        tokens = embedder(oracle.tokens(image, SIZES.stride))
        cosines = functional.normalize(tokens, dim=2) @ texts.T
        maps = cosines.permute(2, 0, 1)
        full = at_pixels(maps, SIZES, valid, valid)
        probability = (scale * resize(full, output)).softmax(0)
        labels = read(tmp_path / f"{i}.labels.bin", output, "<i4")
        assert float((labels == probability.argmax(0)).float().mean()) >= 0.999
        scores = read(tmp_path / f"{i}.scores.bin", output)
        torch.testing.assert_close(scores, probability.amax(0), rtol=1e-3, atol=1e-4)
        assert len(labels.unique()) > 1
        # A heat map skips the network's own pixels.
        heat = read(tmp_path / f"{i}.maps.bin", [len(WORDS), *output])
        expected = at_pixels(maps, SIZES, valid, output)
        assert float((heat - expected).abs().max()) < 1e-3 * float(expected.abs().max())

        plain = embedder(oracle.tokens(image, SIZES.patch)).flatten(0, 1)
        whole = [compatibility(plain, text, SIZES.sharpness) for text in texts]
        expected = (scale * torch.stack(whole)).softmax(0)
        classified = read(tmp_path / f"{i}.classes.bin", [len(WORDS)])
        torch.testing.assert_close(classified, expected, rtol=1e-3, atol=1e-5)


def class_embeddings(oracle: PaclClip) -> torch.Tensor:
    """Normalised, averaged over the templates, normalised: [K, D]."""
    templates = json.loads(TEMPLATES.read_text())["templates"]
    prompts = torch.tensor([[tokenize(t.format(word)) for t in templates] for word in WORDS])
    encoded = oracle.encode_text(prompts.flatten(0, 1)).view(*prompts.shape[:2], -1)
    return functional.normalize(encoded.mean(1), dim=1)


def resize(maps: torch.Tensor, size: list[int]) -> torch.Tensor:
    """Bilinear, half-pixel centres."""
    return functional.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]
