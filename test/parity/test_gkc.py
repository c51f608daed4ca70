"""GKC: a bundle with a published CLIP inside, run from Node, against the oracle.

No weights of GKC were published, and no names of them: the oracle takes its own from the bundle.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lexiseg_models.convert.clip import RESNET_RULES, TEXT_RULES
from lexiseg_models.convert.fc_clip import CLIP_PREFIX, TRAINED_RULES
from lexiseg_models.ops import load_ops
from torch import Tensor

from oracle.config import CONFIGS
from oracle.drawing import draw_picture
from oracle.gkc import GkcOracle
from oracle.heads import semantic_scores
from oracle.make_checkpoint import build_model, write_checkpoint
from oracle.model import resize_valid
from oracle.preprocess import preprocess
from oracle.vocabulary import tokenize

from .agreement import relative_difference
from .exporting import exporter_config, run_exporter
from .pictures import read, run_on_pictures

RUNNER = Path(__file__).with_name("run-semantic.mjs")
CONFIG = CONFIGS["tiny_resnet"]
PRIOR_WIDTH = 40
PREDICTOR = "sem_seg_head.predictor."
WORDS = [["cat", "kitten"], ["sofa"], ["wooden floor"], ["window", "pane"], ["floor lamp"]]
# What only CLIP itself uses, and the network does not hold.
_CLIP_ONLY = re.compile(r"backbone\.clip_model\.(logit_scale|visual\.attnpool\..*)")


# Parts that stand beside the loss.
TRAINING_ONLY = ("teacher_tower", "region_head", "auxiliary_projections", "distillation")


def published_name(ours: str) -> str:
    """A tensor of the bundle by the name that the oracle has for it."""
    if ours.startswith("class_head."):
        return PREDICTOR + ours.removeprefix("class_head.")
    if ours == "classifier.logit_scale":
        return PREDICTOR + "logit_scale"
    for prefix, rules in (("", TRAINED_RULES), (CLIP_PREFIX, (*TEXT_RULES, *RESNET_RULES))):
        for pattern, theirs in rules:
            if match := re.fullmatch(pattern, ours):
                return prefix + match.expand(theirs)
    raise KeyError(ours)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> tuple[GkcOracle, Path]:
    folder = tmp_path_factory.mktemp("gkc")
    _, clip = write_checkpoint(build_model(CONFIG), folder)
    config = exporter_config(replace(CONFIG, decoder=replace(CONFIG.decoder, queries=30)))
    del config["ensemble"]
    config["class_head"] = {"prior_width": PRIOR_WIDTH}
    (folder / "sizes.json").write_text(json.dumps(config))
    bundle = folder / "gkc.pt"
    arguments = ["export", "gkc", "--config", str(folder / "sizes.json"), "--random-init"]
    done = run_exporter(
        [*arguments, "--seed", "4", "--clip", str(clip), "--out", str(bundle), "--trainable"]
    )
    assert done.returncode == 0, done.stderr
    load_ops()
    tensors = {
        published_name(name): tensor
        for name, tensor in torch.jit.load(str(bundle)).state_dict().items()
        if name.split(".")[0] not in TRAINING_ONLY
    }
    decoder = replace(CONFIG.decoder, queries=30)
    oracle = GkcOracle(replace(CONFIG, decoder=decoder), PRIOR_WIDTH)
    missing, surplus = oracle.load_state_dict(tensors, strict=False)
    assert not surplus
    assert [name for name in missing if not _CLIP_ONLY.fullmatch(name)] == []
    return oracle, bundle


def class_rows(oracle: GkcOracle) -> Tensor:
    """Unit rows of bare names [S, D], as the classes list them."""
    names = [name for class_ in WORDS for name in class_]
    return oracle.clip.encode_prompts(torch.tensor([tokenize(name) for name in names]))


@torch.inference_mode()
def test_node_agrees_with_the_oracle(subject: tuple[GkcOracle, Path], tmp_path: Path) -> None:
    oracle, bundle = subject
    pictures = [draw_picture(180, 250, seed=1), draw_picture(333, 210, seed=4)]
    run_on_pictures(RUNNER, bundle, pictures, WORDS, tmp_path)
    shapes = json.loads((tmp_path / "shapes.json").read_text())

    counts = [len(names) for names in WORDS]
    classes = oracle.with_void(class_rows(oracle), counts)
    kinds = []
    for i, picture in enumerate(pictures):
        sizes = preprocess(picture, oracle.config)
        masks, log_probs = oracle.propose(sizes, classes)
        found = read(tmp_path / f"{i}.mask_logits.bin", shapes[i]["maskLogits"])[0]
        assert relative_difference(found, masks) < 1e-3
        given = read(tmp_path / f"{i}.log_probs.bin", shapes[i]["logProbs"])[0]
        assert relative_difference(given, log_probs) < 1e-3
        network = torch.nn.functional.interpolate(
            masks[None], size=sizes.network_size, mode="bilinear", align_corners=False
        )[0]
        expected = resize_valid(semantic_scores(log_probs, network), sizes).argmax(0)
        labels = read(tmp_path / f"{i}.labels.bin", list(picture.shape[:2]), "<i4")
        assert float((labels == expected).float().mean()) >= 0.999
        kinds.append(len(expected.unique()))
    # The test means something only if this holds.
    assert max(kinds) > 1
