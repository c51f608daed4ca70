"""Pooling of boxes against loops over pixels, and what the training step does with them."""

from __future__ import annotations

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.methods import clip
from lexiseg_models.objectives.boxes import pool_boxes


def test_a_box_that_covers_whole_cells_is_their_mean():
    torch.manual_seed(0)
    dense = torch.randn(2, 5, 6, 9)
    boxes = torch.tensor([[0, 0, 0, 36, 24], [1, 12, 8, 24, 16]])
    pooled = pool_boxes(dense, boxes, (24, 36))
    torch.testing.assert_close(pooled[0], dense[0].mean((1, 2)))
    torch.testing.assert_close(pooled[1], dense[1, :, 2:4, 3:6].mean((1, 2)))


def test_a_box_that_cuts_cells_weighs_them_by_its_share():
    torch.manual_seed(0)
    dense = torch.randn(2, 3, 4, 4)
    boxes = torch.tensor([[1, 3, 5, 21, 30], [0, 9, 9, 10, 10], [0, 0, 31, 32, 32]])
    pooled = pool_boxes(dense, boxes, (32, 32))
    fine = dense.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    for result, (canvas, left, top, right, bottom) in zip(pooled, boxes.tolist(), strict=True):
        expected = fine[canvas, :, top:bottom, left:right].mean((1, 2))
        torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(
    "box",
    [[0, 0, 0, 33, 8], [0, -1, 0, 8, 8], [0, 8, 0, 8, 8], [1, 0, 0, 8, 8], [-1, 0, 0, 8, 8]],
)
def test_refuses_boxes_that_are_not_on_a_canvas(box):
    with pytest.raises(ValueError, match="inside their canvases"):
        pool_boxes(torch.randn(1, 3, 4, 4), torch.tensor([box]), (32, 32))


@pytest.fixture(scope="module")
def network() -> clip.TrainableClip:
    torch.manual_seed(1)
    return clip.build_trainable(read_config("clip", "demo"))


def canvas_of(images: torch.Tensor) -> torch.Tensor:
    """Four images [4, H, W, 3] on one canvas [1, 2 * H, 2 * W, 3]."""
    rows = [torch.cat((images[2 * i], images[2 * i + 1]), dim=1) for i in range(2)]
    return torch.cat(rows).unsqueeze(0)


def batch_of_four() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return {
        "images": images,
        "token_ids": torch.randint(1, 400, (4, 7), generator=generator),
    }


BOXES = torch.tensor([[0, 32 * (i % 2), 32 * (i // 2)] for i in range(4)])
BOXES = torch.cat((BOXES, BOXES[:, 1:] + 32), dim=1)


def test_a_box_is_what_a_mask_over_it_pools(network):
    canvas = network.preprocess.normalise(canvas_of(batch_of_four()["images"]))
    with torch.no_grad():
        embedded = network.embed_boxes(canvas, BOXES)
        dense = network.image_tower(canvas)[3]
        mask = -torch.ones(1, 4, 2, 2)
        for index in range(4):
            mask[0, index, index // 2, index % 2] = 1.0
        regions = torch.nn.functional.normalize(network.region_head(dense, mask)[0], dim=1)
    torch.testing.assert_close(embedded, regions, rtol=1e-4, atol=1e-5)


def test_losses_read_the_boxes_of_a_batch(network):
    scripted = torch.jit.script(network)
    plain = batch_of_four()
    laid = {**plain, "images": canvas_of(plain["images"]), "boxes": BOXES}
    with torch.no_grad():
        assert scripted.losses(plain)["image_to_text"] != scripted.losses(laid)["image_to_text"]
        with pytest.raises(Exception, match="inside their canvases"):
            scripted.losses({**laid, "boxes": BOXES + 1})
