"""Two processes on loopback train as one with the doubled batch; a death ends both, and resumes."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .exporting import ROOT
from .pictures import write_captioned
from .test_run import steps_of
from .test_training import export

_RUNNER = Path(__file__).with_name("train-run.mjs")
_MAIN = ROOT / "dist" / "cli" / "main.js"
_STEPS = 8


def node(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    command = [shutil.which("node") or "node", *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def agree(folder: Path, whole: Path) -> None:
    pair, one = steps_of(folder), steps_of(whole)
    assert len(pair) == len(one) == _STEPS
    for theirs, ours in zip(pair, one, strict=True):
        for name, value in ours["losses"].items():
            assert theirs["losses"][name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
        assert theirs["gradNorm"] == pytest.approx(ours["gradNorm"], rel=2e-3)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("clip") / "clip.pt", "clip")


@pytest.mark.parametrize("paired", ["0", "1"])
def test_captions_of_two_processes(clip: Path, tmp_path: Path, paired: str) -> None:
    captions = write_captioned(tmp_path / "data")
    run = [clip, captions]
    finish(
        node(
            _MAIN,
            "launch",
            "-n",
            2,
            "--",
            _RUNNER,
            *run,
            tmp_path / "two",
            _STEPS,
            3,
            PAIRED=paired,
        )
    )
    finish(node(_RUNNER, *run, tmp_path / "one", _STEPS, 6, PAIRED=paired))
    agree(tmp_path / "two", tmp_path / "one")


def test_trainers_that_follow_one_another_meet_anew(clip: Path) -> None:
    finish(node(_MAIN, "launch", "-n", 2, "--", _RUNNER.with_name("join-twice.mjs"), clip))


def write_scenes(folder: Path) -> None:
    numbers = np.random.default_rng(8)
    (folder / "images").mkdir(parents=True)
    (folder / "panoptic").mkdir()
    images, annotations = [], []
    for i in range(7):
        size = {"width": 128, "height": 96}
        picture = numbers.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        ids = np.zeros((96, 128, 3), dtype=np.uint8)
        segments = []
        for j in range(1, 2 + i % 3):
            top, left = numbers.integers(0, 60, 2)
            ids[top : top + 36, left : left + 60, 0] = j
        for j in np.unique(ids[..., 0]).tolist():
            if j > 0:
                segments.append({"id": j, "category_id": 1 + (i + j) % 3})
        Image.fromarray(picture).save(folder / "images" / f"{i}.png")
        Image.fromarray(ids).save(folder / "panoptic" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", **size})
        annotations.append({"image_id": i, "file_name": f"{i}.png", "segments_info": segments})
    categories = [{"id": i + 1, "name": n} for i, n in enumerate(["cat", "dog", "sky"])]
    everything = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "panoptic.json").write_text(json.dumps(everything))


def write_config(path: Path, bundle: Path, batch: int) -> Path:
    data = {"dataset": "coco-panoptic", "folder": "scenes", "split": "train"}
    config: dict[str, Any] = {
        "bundle": str(bundle),
        "data": {**data, "batchSize": batch, "imageSize": {"width": 96, "height": 96}},
        "trainer": {"threads": 1, "optimizer": {"kind": "sgd"}, "gradientClip": 1},
        "run": {"steps": _STEPS, "learningRate": 1e-3, "checkpointEvery": 4},
    }
    path.write_text(json.dumps(config))
    return path


def test_masks_of_two_processes(tmp_path: Path) -> None:
    bundle = export(tmp_path / "fc.pt", "fc-clip")
    write_scenes(tmp_path / "scenes")
    two = write_config(tmp_path / "two.json", bundle, 2)
    one = write_config(tmp_path / "one.json", bundle, 4)
    finish(node(_MAIN, "launch", "-n", 2, "--", "train", two, "--out", tmp_path / "two"))
    output = finish(node(_MAIN, "train", one, "--out", tmp_path / "one"))
    agree(tmp_path / "two", tmp_path / "one")
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert [line["step"] for line in lines if line["type"] == "step"] == [*range(1, _STEPS + 1)]
    for name in ("report.html", "trained.pt", "events.jsonl"):
        assert (tmp_path / "two" / name).is_file()
    agree_with_tensorboard(tmp_path / "one")


def agree_with_tensorboard(folder: Path) -> None:
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    steps = steps_of(folder)
    for tag, value in (
        ("optimizer/learning_rate", lambda step: step["learningRate"]),
        ("optimizer/gradient_norm", lambda step: step["gradNorm"]),
        ("loss/dice", lambda step: step["losses"]["dice"]),
    ):
        scalars = events.Scalars(tag)
        assert [scalar.step for scalar in scalars] == [step["step"] for step in steps]
        expected = [pytest.approx(value(step), rel=1e-6) for step in steps]
        assert [scalar.value for scalar in scalars] == expected


def test_a_dead_rank_ends_the_other_and_the_run_goes_on(clip: Path, tmp_path: Path) -> None:
    captions = write_captioned(tmp_path / "data")
    folder = tmp_path / "killed"
    arguments = ["launch", "-n", 2, "--", _RUNNER, clip, captions, folder, _STEPS, 3]
    process = node(_MAIN, *arguments)
    assert process.stdout is not None
    seen = ""
    while seen.count(".") < 9 or "rank 1 is" not in seen:
        letter = process.stdout.read(1)
        assert letter != "", seen
        seen += letter
    victim = int(re.search(r"rank 1 is (\d+)", seen)[1])
    os.kill(victim, signal.SIGKILL)
    start = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - start < 60
    assert "ERR_DISTRIBUTED" in output or "process 1 ended" in output
    finish(node(_MAIN, *arguments))
    finish(node(_MAIN, *arguments[:-3], tmp_path / "whole", _STEPS, 3))
    assert steps_of(folder) == steps_of(tmp_path / "whole")


def test_a_process_alone_sees_its_partner_die(clip: Path, tmp_path: Path) -> None:
    captions = write_captioned(tmp_path / "data")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    folder = tmp_path / "run"
    ranks = [
        node(_RUNNER, clip, captions, folder, 10_000, 3, RANK=str(rank), **shared)
        for rank in range(2)
    ]
    first = ranks[0].stdout
    assert first is not None
    seen = ""
    while seen.count(".") < 3:
        seen += first.read(1)
    ranks[1].kill()
    output, _ = ranks[0].communicate(timeout=60)
    assert ranks[0].returncode not in (0, None)
    assert "ERR_DISTRIBUTED" in output


def test_missing_variables_are_named(clip: Path, tmp_path: Path) -> None:
    captions = write_captioned(tmp_path / "data")
    process = node(_RUNNER, clip, captions, tmp_path / "run", 3, RANK="0", WORLD_SIZE="2")
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "ERR_DISTRIBUTED" in output
    assert "MASTER_ADDR" in output
