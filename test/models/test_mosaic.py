"""Mosaics against loops over tiles, and what the training step does with them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from lexiseg_models.configuration import read_config
from lexiseg_models.methods import clip
from lexiseg_models.objectives.mosaic import lay_mosaics, pool_tiles


def tiles(side: int, count: int) -> Iterator[tuple[int, int, int, int]]:
    """Number of each image, its canvas, row and column."""
    for index in range(count * side * side):
        yield index, index // side**2, index // side % side, index % side


def test_images_are_laid_row_by_row():
    torch.manual_seed(0)
    images = torch.randn(18, 3, 4, 6)
    canvases = lay_mosaics(images, 3, 2)
    assert canvases.shape == (2, 3, 12, 18)
    assert canvases.is_contiguous(memory_format=torch.channels_last)
    for index, canvas, row, column in tiles(3, 2):
        tile = canvases[canvas, :, 4 * row : 4 * row + 4, 6 * column : 6 * column + 6]
        assert torch.equal(tile, images[index])


def test_each_tile_is_pooled_alone():
    torch.manual_seed(0)
    dense = torch.randn(2, 5, 6, 9)
    pooled = pool_tiles(dense, 3)
    assert pooled.shape == (18, 5)
    for index, canvas, row, column in tiles(3, 2):
        mean = dense[canvas, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3].mean((1, 2))
        torch.testing.assert_close(pooled[index], mean)


@pytest.fixture(scope="module")
def network() -> clip.TrainableClip:
    torch.manual_seed(1)
    return clip.build_trainable(read_config("clip", "demo"))


def batch_of(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return {
        "images": images,
        "token_ids": torch.randint(1, 400, (count, 7), generator=generator),
    }


def test_the_rest_of_a_batch_is_embedded_as_without_mosaics(network):
    images = network.preprocess.normalise(batch_of(7)["images"])
    with torch.no_grad():
        mixed, alone = network.embed_tiles(images, 2, 1), network.embed_images(images)
    torch.testing.assert_close(mixed[4:], alone[4:])
    assert (mixed[:4] - alone[:4]).abs().max() > 1e-4
    torch.testing.assert_close(mixed.norm(dim=1), torch.ones(7))


def test_a_tile_is_what_a_mask_over_it_pools(network):
    images = network.preprocess.normalise(batch_of(4)["images"])
    with torch.no_grad():
        tiles_ = network.embed_tiles(images, 2, 1)
        dense = network.image_tower(lay_mosaics(images, 2, 1))[3]
        mask = -torch.ones(1, 4, 2, 2)
        for index in range(4):
            mask[0, index, index // 2, index % 2] = 1.0
        regions = torch.nn.functional.normalize(network.region_head(dense, mask)[0], dim=1)
    torch.testing.assert_close(tiles_, regions, rtol=1e-4, atol=1e-5)


def test_losses_read_the_mosaic_of_a_batch(network):
    scripted = torch.jit.script(network)
    plain = batch_of(5)
    laid = {**plain, "mosaic": torch.tensor([2, 1])}
    with torch.no_grad():
        assert scripted.losses(plain)["image_to_text"] != scripted.losses(laid)["image_to_text"]
        with pytest.raises(Exception, match="no more images than the batch has"):
            scripted.losses({**plain, "mosaic": torch.tensor([2, 2])})
