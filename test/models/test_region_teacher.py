"""A frozen CLIP that embeds segments: what it sees of each."""

from __future__ import annotations

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from lexiseg_models.configuration import read_config
from lexiseg_models.export.command import main
from lexiseg_models.methods import gkc_training
from lexiseg_models.objectives.mask_classification import Segments
from torch import Tensor


def teacher(sees: str) -> gkc_training.TrainableGkc:
    raw = copy.deepcopy(read_config("gkc", "tiny"))
    raw["objective"]["calibration"]["teacher_sees"] = sees
    torch.manual_seed(3)
    return gkc_training.build_trainable(raw)


def scene() -> tuple[Tensor, Segments]:
    """Two images of 224 x 448: a half and a small segment in the first, none in the second."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 224, 448, 3), dtype=torch.uint8, generator=generator)
    masks = torch.zeros(2, 224, 448)
    masks[0, :, 224:] = 1.0
    masks[1, 7, 300] = 1.0
    return images, Segments(masks, torch.tensor([0, 1]), [2, 0], torch.tensor([5, 6]))


def test_a_crop_is_seen_as_an_image_of_its_own():
    module, (images, segments) = teacher("crops"), scene()
    rows = module.teacher_regions(images, segments, 64)
    with torch.no_grad():
        alone = module.teacher_preprocess.normalise(images[:1, :, 224:])
        dense = module.teacher_tower(alone)[3]
        expected = F.normalize(module.region_head(dense, torch.ones(1, 1, 7, 7))[0], dim=1)
    torch.testing.assert_close(rows[:1], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sees, alike", [("crops", True), ("image", False)])
def test_what_lies_beside_a_segment_is_seen_with_the_whole_image_alone(sees, alike):
    module, (images, segments) = teacher(sees), scene()
    rows = module.teacher_regions(images, segments, 64)
    assert rows.shape == (2, 64)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(2))
    changed = images.clone()
    changed[:, :, :224] = 255 - changed[:, :, :224]
    other = module.teacher_regions(changed, segments, 64)
    assert torch.allclose(rows[:1], other[:1], atol=1e-6) == alike
    assert torch.allclose(rows[1:], other[1:], atol=1e-6) == alike


def test_a_segment_is_seen_in_the_cells_that_it_fills_by_half():
    module, (images, _) = teacher("image"), scene()
    mask = torch.zeros(3, 224, 448)
    mask[0, :96, :96] = 1.0
    # The same, and a rim that fills less than half of the cells around; then a segment of a rim.
    mask[1, :106, :106] = 1.0
    mask[2, :, 30:34] = 1.0
    segments = Segments(mask, torch.zeros(3, dtype=torch.int64), [3, 0], torch.tensor([5, 6]))
    rows = module.teacher_regions(images, segments, 64)
    torch.testing.assert_close(rows[0], rows[1])
    touched = torch.zeros(1, 1, 7, 14)
    touched[:, :, :, :2] = 1.0
    with torch.no_grad():
        dense = module.teacher_tower(module.teacher_preprocess.normalise(images[:1]))[3]
        expected = F.normalize(module.region_head(dense, touched - 0.5)[0], dim=1)
    torch.testing.assert_close(rows[2:], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sees", ["crops", "image"])
def test_no_segment_and_an_empty_one_are_no_fault(sees):
    module, (images, segments) = teacher(sees), scene()
    none = Segments(segments.masks[:0], segments.labels[:0], [0, 0], segments.seeds)
    assert module.teacher_regions(images, none, 64).shape == (0, 64)
    empty = Segments(torch.zeros(1, 224, 448), segments.labels[:1], [0, 1], segments.seeds)
    assert bool(torch.isfinite(module.teacher_regions(images, empty, 64)).all())


def test_a_bundle_may_be_taught_by_crops(tmp_path):
    own, out = tmp_path / "own.json", tmp_path / "out.pt"
    calibration = {"teacher_sees": "crops", "synonym_draw": "even", "synonym_floor": 0.1}
    own.write_text(json.dumps({"extends": "tiny", "objective": {"calibration": calibration}}))
    arguments = ["export", "gkc", "--config", str(own), "--random-init", "--trainable"]
    assert main([*arguments, "--out", str(out)]) == 0
