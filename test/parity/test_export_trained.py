"""What a trained bundle keeps: what inference reads, and nothing that only the loss does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from lexiseg_models.ops import load_ops

from .exporting import run_exporter

RUNNER = Path(__file__).with_name("export-trained.mjs")


@pytest.mark.parametrize("method, teacher", [("gkc", "teacher_tower"), ("fc-clip", "")])
def test_what_only_the_loss_reads_takes_no_room(method: str, teacher: str, tmp_path: Path) -> None:
    load_ops()
    begun, inference, trainable = (tmp_path / f"{n}.pt" for n in ("begun", "infer", "train"))
    start = ["export", method, "--config", "tiny", "--random-init", "--trainable"]
    done = run_exporter([*start, "--out", str(begun)])
    assert done.returncode == 0, done.stderr
    node = shutil.which("node") or "node"
    paths = [str(path) for path in (begun, inference, trainable)]
    done = subprocess.run([node, str(RUNNER), *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    before, after, again = (torch.jit.load(path).eval() for path in paths)
    image = torch.randint(0, 256, (1, 90, 120, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected, found = before.propose_masks(image), after.propose_masks(image)
        ids = torch.tensor([[49406, 320, 49407]])
        assert torch.equal(before.encode_text(ids), after.encode_text(ids))
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)
    names = before.state_dict()
    gone = [n for n in names if teacher and n.startswith(teacher)]
    kept = [n for n in names if not n.startswith(teacher or "none")]
    for name in gone:
        # Small tensors take no room and stay.
        left = names[name].numel() >= 4096
        assert not left or not after.state_dict()[name].any()
        assert after.state_dict()[name].shape == names[name].shape
        assert torch.equal(again.state_dict()[name], names[name])
    assert all(torch.equal(again.state_dict()[name], names[name]) for name in kept)
    if teacher:
        weights = sum(names[name].numel() for name in gone)
        assert begun.stat().st_size - inference.stat().st_size > 3 * weights
