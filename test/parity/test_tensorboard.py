"""Events of a run that was killed and went on, as TensorBoard reads them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .exporting import ROOT

_WRITER = """
const { TensorBoardLog } = await import(process.argv[1]);
const log = new TensorBoardLog(process.argv[2]);
for (const event of JSON.parse(process.argv[3])) log.add(event);
log.close();
"""


def step(number: int) -> dict[str, object]:
    figures = ("learningRate", "gradNorm", "samplesPerSecond", "waiting", "memoryBytes")
    rest = dict.fromkeys(figures, 1)
    return {"type": "step", "step": number, "losses": {}, "total": 10.0 + number, **rest}


def write(folder: Path, events: list[dict[str, object]]) -> None:
    node = shutil.which("node") or "node"
    index = str(ROOT / "dist/index.js")
    command = [node, "--input-type=module", "-e", _WRITER, index, str(folder), json.dumps(events)]
    subprocess.run(command, check=True)


def test_steps_that_a_kill_undid_are_told_once(tmp_path: Path) -> None:
    write(tmp_path, [{"type": "start", "step": 0}, *(step(n) for n in range(1, 8))])
    # Files are read in the order of the seconds in their names.
    time.sleep(1.1)
    write(tmp_path, [{"type": "start", "step": 4}, *(step(n) for n in range(5, 9))])
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.step for event in events.Scalars("loss/total")] == list(range(1, 9))
