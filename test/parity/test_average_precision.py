"""Average precision and polygons, against pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

_RUNNER = Path(__file__).with_name("score-instances.mjs")
_KEYS = ("ap", "ap50", "ap75", "apSmall", "apMedium", "apLarge")


def polygon(numbers: np.random.Generator, centre: np.ndarray, radius: float) -> list[float]:
    corners = int(numbers.integers(3, 12))
    angles = np.sort(numbers.uniform(0, 2 * np.pi, corners))
    radii = radius * numbers.uniform(0.5, 1.2, corners)
    points = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]
    return [round(float(v), 2) for v in points.ravel()]


def area_of(segmentation: object, height: int, width: int) -> float:
    if isinstance(segmentation, dict):
        return float(coco_mask.area(coco_mask.frPyObjects(segmentation, height, width)))
    return float(
        coco_mask.area(coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width)))
    )


def make(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    numbers = np.random.default_rng(seed)
    images, annotations, results = [], [], []
    for image in range(12):
        width, height = (int(v) for v in numbers.integers(90, 260, 2))
        images.append({"id": image, "width": width, "height": height, "file_name": f"{image}.jpg"})
        for _ in range(int(numbers.integers(1, 7))):
            centre = numbers.uniform([0, 0], [width, height])
            radius = float(numbers.choice([8, 25, 70]))
            parts = [polygon(numbers, centre, radius) for _ in range(int(numbers.integers(1, 3)))]
            crowd = numbers.random() < 0.15
            segmentation: Any = parts
            if crowd:
                merged = coco_mask.merge(coco_mask.frPyObjects(parts, height, width))
                flat = coco_mask.decode(merged).ravel(order="F")
                edges = np.flatnonzero(np.diff(flat)) + 1
                runs = np.diff([0, *edges, flat.size]).tolist()
                counts = [0, *runs] if flat[0] else runs
                segmentation = {"size": [height, width], "counts": counts}
            category = int(numbers.integers(1, 4))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "segmentation": segmentation,
                    "area": area_of(segmentation, height, width),
                    "bbox": [0, 0, 1, 1],
                    "iscrowd": int(crowd),
                }
            )
            for _ in range(int(numbers.integers(0, 3))):
                moved = [
                    (np.array(p) + numbers.normal(0, radius * 0.12, len(p))).tolist() for p in parts
                ]
                rle = coco_mask.merge(coco_mask.frPyObjects(moved, height, width))
                if coco_mask.area(rle) == 0:
                    continue
                rle = {"size": rle["size"], "counts": rle["counts"].decode()}
                results.append(
                    {
                        "image_id": image,
                        "category_id": category if numbers.random() < 0.9 else 1,
                        "segmentation": rle,
                        "score": round(float(numbers.random()), 2),
                    }
                )
    categories = [{"id": i, "name": f"class {i}"} for i in (1, 2, 3, 4)]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def reference(truth: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        data.dataset = truth
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_pycocotools(tmp_path: Path, seed: int) -> None:
    truth, results = make(seed)
    paths = [tmp_path / "truth.json", tmp_path / "results.json"]
    for path, value in zip(paths, (truth, results), strict=True):
        path.write_text(json.dumps(value))
    node = shutil.which("node") or "node"
    done = subprocess.run([node, str(_RUNNER), *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    areas = [annotation["area"] for annotation in truth["annotations"]]
    assert found["areas"] == areas
    for key, value in zip(_KEYS, reference(truth, results), strict=True):
        # Where there is no true object pycocotools says -1, and JSON has no NaN.
        assert (-1.0 if found[key] is None else found[key]) == pytest.approx(value, abs=1e-6), key
    assert 0.05 < found["ap"] < 0.95
