"""A run that is killed again and again ends where an undisturbed one does."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import torch

from .pictures import write_captioned
from .test_training import export

_RUNNER = Path(__file__).with_name("train-run.mjs")
_STEPS = 40


def start(bundle: Path, captions: Path, folder: Path) -> subprocess.Popen[bytes]:
    node = shutil.which("node") or "node"
    command = [node, str(_RUNNER), str(bundle), str(captions), str(folder), str(_STEPS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def steps_of(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    fields = ("step", "losses", "gradNorm", "learningRate")
    return [{k: e[k] for k in fields} for e in events if e["type"] == "step"]


def files_of(folder: Path) -> list[str]:
    """What the run itself wrote; the bundle is the runner's."""
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("trained.pt"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("run") / "clip.pt", "clip")


def test_a_killed_run_goes_on_with_the_same_losses(bundle: Path, tmp_path: Path) -> None:
    captions = write_captioned(tmp_path / "data")
    undisturbed = tmp_path / "undisturbed"
    whole = start(bundle, captions, undisturbed)
    output, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0, output.decode()

    killed = tmp_path / "killed"
    chance = random.Random(11)
    kills = 0
    for _ in range(60):
        process = start(bundle, captions, killed)
        assert process.stdout is not None
        # Killed after some steps of its own, at any moment of the step or checkpoint after them.
        for _ in range(chance.randint(2, 12)):
            if process.stdout.read(1) != b".":
                break
        try:
            process.wait(chance.random() * 0.15)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL, rest.decode()
        kills += 1
    assert kills >= 3
    assert process.returncode == 0

    assert steps_of(killed) == steps_of(undisturbed)
    assert [s["step"] for s in steps_of(killed)] == list(range(1, _STEPS + 1))
    one = torch.jit.load(str(undisturbed / "trained.pt")).state_dict()
    other = torch.jit.load(str(killed / "trained.pt")).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert files_of(killed) == files_of(undisturbed)


def test_a_folder_keeps_one_run(bundle: Path, tmp_path: Path) -> None:
    captions = write_captioned(tmp_path / "data")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"steps": 3}))
    process = start(bundle, captions, folder)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert b"ERR_CHECKPOINT" in output
    assert b"holds another run" in output
