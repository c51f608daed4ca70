"""The bundle run from Node through the public package, read back as an outcome."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oracle.heads import Instances, PanopticSegment

from .cases import Case
from .exporting import ROOT
from .reference import LOOSE_OVERLAP, Outcome, PanopticMap

_RUNNER = Path(__file__).with_name("run-bundle.mjs")


def node_outcomes(
    bundle: Path, cases: list[Case], folder: Path, dtype: str, device: str = "cpu"
) -> list[Outcome]:
    """Run all cases in one Node process; a process that fails is an error with its output."""
    if not (ROOT / "dist" / "index.js").is_file():
        raise FileNotFoundError("dist/index.js is missing: run `npm run build:lib` first")
    folder.mkdir(parents=True, exist_ok=True)
    request = folder / "request.json"
    items = [_write_case(case, folder / f"{i}.rgb") for i, case in enumerate(cases)]
    request.write_text(
        json.dumps(
            {
                "bundle": str(bundle),
                "dtype": dtype,
                "device": device,
                "out": str(folder),
                "looseOverlap": LOOSE_OVERLAP,
                "cases": items,
            }
        )
    )
    node = shutil.which("node") or "node"
    done = subprocess.run(
        [node, str(_RUNNER), str(request)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"Node failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    answer = json.loads((folder / "results.json").read_text())
    return [_read_outcome(folder, i, r, cases[i]) for i, r in enumerate(answer["results"])]


def _write_case(case: Case, raw: Path) -> dict[str, Any]:
    raw.write_bytes(case.picture.tobytes())
    height, width, _ = case.picture.shape
    names = zip(case.vocabulary.classes, case.vocabulary.thing, strict=True)
    classes = [{"name": c[0], "synonyms": c[1:], "thing": thing} for c, thing in names]
    return {"raw": str(raw), "width": width, "height": height, "classes": classes}


def _read_outcome(folder: Path, index: int, result: dict[str, Any], case: Case) -> Outcome:
    def tensor(name: str, shape: list[int], dtype: str) -> Tensor:
        path = folder / f"{index}.{name}.bin"
        return torch.from_numpy(np.fromfile(path, dtype).reshape(shape))

    def panoptic(name: str) -> PanopticMap:
        segments = [
            PanopticSegment(s["id"], s["classIndex"], s["thing"]) for s in result[name]["segments"]
        ]
        return tensor(name, size, "<i4"), segments

    size = list(case.picture.shape[:2])
    return Outcome(
        mask_logits=tensor("mask_logits", result["maskLogits"]["shape"], "<f4")[0],
        class_log_probs=tensor("log_probs", result["logProbs"]["shape"], "<f4")[0],
        labels=tensor("labels_masks", size, "<i4"),
        labels_resized_scores=tensor("labels_scores", size, "<i4"),
        panoptic=panoptic("panoptic"),
        panoptic_loose=panoptic("panoptic_loose"),
        instances=_read_instances(result["instances"], size),
    )


def _read_instances(items: list[dict[str, Any]], size: list[int]) -> Instances:
    masks = [decode_run_lengths(item["counts"], size) for item in items]
    return Instances(
        masks=torch.stack(masks) if masks else torch.zeros(0, *size, dtype=torch.bool),
        scores=torch.tensor([item["score"] for item in items]),
        classes=torch.tensor([item["classIndex"] for item in items], dtype=torch.int64),
        query_index=torch.full((len(items),), -1),
    )


def decode_run_lengths(counts: list[int], size: list[int]) -> Tensor:
    """COCO run lengths, down the columns, outside first → bool [H, W]."""
    height, width = size
    inside = np.arange(len(counts)) % 2 == 1
    flat = np.repeat(inside, counts)
    if flat.size != height * width:
        raise ValueError(f"run lengths cover {flat.size} of {height * width} pixels")
    return torch.from_numpy(flat.reshape(width, height).T.copy())
