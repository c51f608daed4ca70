"""Two processes that train on GPUs give the losses of one: over NCCL, or over Gloo on one GPU."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "test" / "parity" / "train-run.mjs"
BUNDLE = ROOT / "models" / "bundles" / "tiny-pacl.pt"
STEPS = 6


def start(captions: Path, folder: Path, batch: int, **variables: str) -> subprocess.Popen[str]:
    node = os.environ.get("NODE") or shutil.which("node") or "node"
    arguments = [str(BUNDLE), str(captions), str(folder), str(STEPS), str(batch)]
    return subprocess.Popen(
        [node, str(RUNNER), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **variables},
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def losses_of(folder: Path) -> list[float]:
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [sum(e["losses"].values()) for e in events if e["type"] == "step"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_two_ranks_on_gpus(tmp_path: Path) -> None:
    # Of a machine for CUDA no more is asked than PyTorch; the other tests run without these.
    for package in ("numpy", "PIL"):
        pytest.importorskip(package)
    from parity.pictures import write_captioned

    captions = write_captioned(tmp_path / "data")
    alone = torch.cuda.device_count() == 1
    device = "cuda:0" if alone else "cuda"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        start(captions, tmp_path / "two", 3, DEVICE=device, RANK=rank, LOCAL_RANK=rank, **shared)
        for rank in ("0", "1")
    ]
    backends = [re.search(r"over (\w+)", finish(process))[1] for process in ranks]
    assert backends == (["gloo"] * 2 if alone else ["nccl"] * 2)
    finish(start(captions, tmp_path / "one", 6, DEVICE="cuda:0"))
    assert losses_of(tmp_path / "two") == pytest.approx(losses_of(tmp_path / "one"), rel=1e-3)
