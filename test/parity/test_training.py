"""Training from Node beside an eager PyTorch loop: the same losses, norms and weights."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lexiseg_models.export.command import main
from torch import Tensor

from oracle.config import CONFIGS
from oracle.make_checkpoint import build_model, write_checkpoint
from oracle.torchvision_ops import define_missing_operators

from .exporting import exporter_config

_RUNNER = Path(__file__).with_name("train-bundle.mjs")
_STEPS = 5
_RATE = 1e-3
_DECAY = 0.05
Step = dict[str, Any]
_CLASSES = ["cat|kitten", "dog", "tree", "sky"]


def export(out: Path, method: str) -> Path:
    arguments = ["export", method, "--config", "tiny", "--random-init", "--seed", "5"]
    assert main([*arguments, "--trainable", "--out", str(out)]) == 0
    return out


def export_resnet(folder: Path) -> Path:
    """With batch norms whose statistics are no round numbers."""
    config = CONFIGS["tiny_resnet"]
    checkpoint, clip = write_checkpoint(build_model(config), folder)
    sizes, out = folder / "sizes.json", folder / "resnet.pt"
    sizes.write_text(json.dumps(exporter_config(config)))
    weights = ["--checkpoint", str(checkpoint), "--clip", str(clip)]
    arguments = ["export", "fc-clip", "--config", str(sizes), *weights]
    assert main([*arguments, "--trainable", "--out", str(out)]) == 0
    return out


def image_text_batches() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(2)
    batches = []
    for _ in range(_STEPS):
        ids = torch.randint(1, 40_000, (6, 7), generator=generator)
        ids[:, -1] = 49_407
        images = torch.randint(0, 256, (6, 64, 64, 3), dtype=torch.uint8, generator=generator)
        batches.append({"images": images, "token_ids": ids})
    return batches


def panoptic_batches() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    batches = []
    for _ in range(_STEPS):
        images = torch.randint(0, 256, (2, 96, 128, 3), dtype=torch.uint8, generator=generator)
        masks = torch.zeros(5, 96, 128, dtype=torch.uint8)
        for i in range(5):
            top, left = torch.randint(0, 60, (2,), generator=generator).tolist()
            masks[i, top : top + 30, left : left + 50] = 1
        labels = torch.randint(0, 4, (5,), generator=generator)
        counts = torch.tensor([2, 3])
        seeds = torch.randint(0, 2**40, (2,), generator=generator)
        batches.append(
            {
                "images": images,
                "masks": masks,
                "labels": labels,
                "mask_counts": counts,
                "seeds": seeds,
            }
        )
    return batches


def run_node(
    folder: Path, bundle: Path, batches: list[dict[str, Tensor]], **more: object
) -> list[Step]:
    folder.mkdir(exist_ok=True)
    written = []
    for index, batch in enumerate(batches):
        entry = {}
        for name, tensor in batch.items():
            file = folder / f"{index}-{name}.bin"
            file.write_bytes(tensor.contiguous().numpy().tobytes())
            dtype = str(tensor.dtype).removeprefix("torch.")
            entry[name] = {"file": str(file), "dtype": dtype, "shape": list(tensor.shape)}
        written.append(entry)
    request = {
        "bundle": str(bundle),
        "out": str(folder / "steps.json"),
        "precision": "float32",
        "threads": 1,
        "optimizer": {"kind": "adamw", "weightDecay": _DECAY},
        "gradientClip": 0.5,
        "learningRate": _RATE,
        "batches": written,
        **more,
    }
    path = folder / "request.json"
    path.write_text(json.dumps(request))
    node = shutil.which("node") or "node"
    done = subprocess.run([node, str(_RUNNER), str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"Node failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return json.loads((folder / "steps.json").read_text())["steps"]


class EagerLoop:
    """torch.optim on the bundle's module, as a Python user would write it."""

    def __init__(self, bundle: Path, kind: str) -> None:
        self.module = torch.jit.load(str(bundle)).eval()
        files = {"manifest.json": ""}
        torch.jit.load(str(bundle), _extra_files=files)
        self.manifest = json.loads(files["manifest.json"])
        named = dict(self.module.named_parameters())
        for parameter in named.values():
            parameter.requires_grad_(False)
        groups = []
        for group in self.manifest["training"]["groups"]:
            if group["frozen"]:
                continue
            parameters = [named[name].requires_grad_(True) for name in group["parameters"]]
            decay = _DECAY if group["decayed"] else 0.0
            groups.append({"params": parameters, "weight_decay": decay})
        self.trained = [p for group in groups for p in group["params"]]
        if kind == "adamw":
            self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(groups, lr=_RATE)
        else:
            self.optimizer = torch.optim.SGD(groups, lr=_RATE, momentum=0.9)

    def step(self, batch: dict[str, Tensor]) -> Step:
        losses = self.module.losses(batch)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.trained, 0.5)
        self.optimizer.step()
        values = {name: float(value) for name, value in losses.items()}
        return {"losses": values, "gradNorm": float(norm)}


def agree(node: list[Step], eager: list[Step]) -> None:
    assert len(node) == len(eager)
    for theirs, ours in zip(node, eager, strict=True):
        assert set(theirs["losses"]) == set(ours["losses"])
        for name, value in ours["losses"].items():
            assert theirs["losses"][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
        assert theirs["gradNorm"] == pytest.approx(ours["gradNorm"], rel=2e-3)
    assert node[0]["total"] == pytest.approx(sum(eager[0]["losses"].values()), rel=1e-5)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_image_text_training_equals_an_eager_loop(tmp_path: Path, kind: str) -> None:
    bundle = export(tmp_path / "clip.pt", "clip")
    batches = image_text_batches()
    optimizer = {"kind": kind, "weightDecay": _DECAY}
    node = run_node(tmp_path / "node", bundle, batches, optimizer=optimizer)
    loop = EagerLoop(bundle, kind)
    agree(node, [loop.step(batch) for batch in batches])


def test_mask_training_equals_an_eager_loop_down_to_the_weights(tmp_path: Path) -> None:
    bundle = export(tmp_path / "fc.pt", "fc-clip")
    batches = panoptic_batches()
    # Adam turns rounding into whole steps where a gradient is nearly zero; SGD does not.
    optimizer = {"kind": "sgd", "weightDecay": _DECAY}
    exported = tmp_path / "trained.pt"
    node = run_node(
        tmp_path / "node",
        bundle,
        batches,
        vocabulary=_CLASSES,
        optimizer=optimizer,
        exportTo=str(exported),
    )
    loop = EagerLoop(bundle, "sgd")
    with torch.no_grad():
        embeddings = class_embeddings(loop)
    counts = torch.tensor([2, 1, 1, 1])
    own = {"class_embeddings": embeddings, "synonym_counts": counts}
    agree(node, [loop.step({**batch, **own}) for batch in batches])
    trained = torch.jit.load(str(exported)).state_dict()
    for name, expected in loop.module.state_dict().items():
        difference = float((trained[name].float() - expected.float()).abs().max())
        assert difference <= 1e-5, name


def class_embeddings(loop: EagerLoop) -> Tensor:
    define_missing_operators()
    import open_clip

    tokenizer = open_clip.SimpleTokenizer()
    rows = []
    for name in [synonym for line in _CLASSES for synonym in line.split("|")]:
        prompts = [template.format(name) for template in loop.manifest["promptTemplates"]]
        mean = loop.module.encode_text(tokenizer(prompts)).double().mean(dim=0)
        rows.append((mean / mean.norm()).float())
    return torch.stack(rows)


def test_a_restored_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    bundle = export(tmp_path / "fc.pt", "fc-clip")
    batches = panoptic_batches()
    for batch in batches:
        # The trainer's own seeds depend on the step, so they too must go on.
        del batch["seeds"]
    state = tmp_path / "state.pt"
    common = {"vocabulary": _CLASSES, "seed": 9, "ema": 0.9}
    save = {"step": 3, "path": str(state)}
    whole = run_node(tmp_path / "whole", bundle, batches, saveAt=save, **common)
    rest = run_node(tmp_path / "rest", bundle, batches, restoreFrom=str(state), **common)
    assert [step["step"] for step in rest] == [4, 5]
    for one, other in zip(whole[3:], rest, strict=True):
        assert one == other
    assert not list(tmp_path.glob("state.pt.*"))


@pytest.mark.parametrize("tower", ["convnext", "resnet", "tuned resnet"])
def test_bfloat16_follows_float32(tmp_path: Path, tower: str) -> None:
    plain = tower == "convnext"
    bundle = export(tmp_path / "fc.pt", "fc-clip") if plain else export_resnet(tmp_path)
    groups = {"image_tower": {"frozen": False}} if tower.startswith("tuned") else {}
    # Small steps: a match that rounding has turned shall not decide what comes after it.
    common = {"vocabulary": _CLASSES, "groups": groups, "learningRate": 1e-5}
    batches = panoptic_batches()
    full = run_node(tmp_path / "full", bundle, batches, **common)
    half = run_node(tmp_path / "half", bundle, batches, precision="bfloat16", **common)
    totals = np.array([[step["total"] for step in run] for run in (full, half)])
    assert np.abs(totals[1] / totals[0] - 1).max() < 0.05


def test_what_learns_nothing_is_written_as_it_was_read(tmp_path: Path) -> None:
    bundle, out = export_resnet(tmp_path), tmp_path / "out.pt"
    common = {"vocabulary": _CLASSES, "precision": "bfloat16", "exportTo": str(out)}
    run_node(tmp_path / "half", bundle, panoptic_batches()[:1], **common)
    before, after = (torch.jit.load(str(path)).state_dict() for path in (bundle, out))
    tower = [name for name in before if name.startswith("image_tower.")]
    assert any(name.endswith("running_var") for name in tower)
    assert all(torch.equal(before[name], after[name]) for name in tower)
