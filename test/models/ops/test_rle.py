"""COCO run lengths against a loop over pixels and against pycocotools."""

from __future__ import annotations

import pytest
import torch

from .references import run_lengths

SIZES = [(1, 1), (1, 9), (9, 1), (7, 5), (64, 64), (63, 65), (130, 67), (200, 3), (3, 200)]


def _masks(height: int, width: int) -> torch.Tensor:
    """Noise, blocks, all, nothing, and single pixels in opposite corners."""
    generator = torch.Generator().manual_seed(height * 1000 + width)
    noise = torch.rand(height, width, generator=generator) > 0.5
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    blocks = (x // 11 + y // 13) % 2 == 0
    corners = torch.zeros(height, width, dtype=torch.bool)
    corners[0, 0] = corners[-1, -1] = True
    return torch.stack(
        (noise, blocks, torch.ones_like(noise), torch.zeros_like(noise), corners, ~corners)
    )


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_encoding_equals_a_loop_and_decoding_inverts_it(height, width):
    masks = _masks(height, width)
    counts, offsets = torch.ops.lexiseg.rle_encode(masks)
    assert (counts.dtype, offsets.dtype) == (torch.int32, torch.int64)
    for i, mask in enumerate(masks):
        assert counts[offsets[i] : offsets[i + 1]].tolist() == run_lengths(mask)
    decoded = torch.ops.lexiseg.rle_decode(counts, offsets, height, width)
    assert decoded.dtype == torch.uint8
    assert torch.equal(decoded.bool(), masks)


def test_counts_equal_those_of_pycocotools():
    coco = pytest.importorskip("pycocotools.mask")
    masks = _masks(90, 77)
    counts, offsets = torch.ops.lexiseg.rle_encode(masks)
    for i, mask in enumerate(masks):
        own = {
            "size": [90, 77],
            "counts": counts[offsets[i] : offsets[i + 1]].tolist(),
        }
        theirs = coco.encode(mask.numpy().astype("uint8", order="F"))
        assert coco.frPyObjects(own, 90, 77) == theirs


def test_any_value_but_zero_is_inside_and_any_layout_is_taken():
    masks = _masks(33, 70)
    expected = torch.ops.lexiseg.rle_encode(masks)
    bytes_in = masks.to(torch.uint8) * torch.arange(1, 7, dtype=torch.uint8)[:, None, None] * 40
    assert all(
        torch.equal(a, b)
        for a, b in zip(torch.ops.lexiseg.rle_encode(bytes_in), expected, strict=True)
    )
    scattered = masks.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert all(
        torch.equal(a, b)
        for a, b in zip(torch.ops.lexiseg.rle_encode(scattered), expected, strict=True)
    )


@pytest.mark.parametrize("size", [(0, 4, 5), (2, 0, 5), (2, 4, 0), (0, 0, 0)])
def test_empty_masks(size):
    masks = torch.zeros(size, dtype=torch.bool)
    counts, offsets = torch.ops.lexiseg.rle_encode(masks)
    assert len(offsets) == size[0] + 1
    assert int(counts.sum()) == 0 if masks.numel() == 0 else True
    assert torch.ops.lexiseg.rle_decode(counts, offsets, *size[1:]).shape == size


@pytest.mark.parametrize("counts", [[6], [0, 6], [2, 0, 4], [1, 2, 3], [0, 0, 0, 6], [6, 0, 0]])
def test_counts_that_no_encoder_writes_are_taken_if_they_add_up(counts):
    decoded = torch.ops.lexiseg.rle_decode(
        torch.tensor(counts, dtype=torch.int32), torch.tensor([0, len(counts)]), 2, 3
    )
    inside = [i % 2 for i, count in enumerate(counts) for _ in range(count)]
    assert decoded[0].T.flatten().tolist() == inside


def _ints(values: list[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


@pytest.mark.parametrize(
    ("counts", "offsets", "height", "width", "message"),
    [
        (_ints([5]), [0, 1], 2, 3, "add up to 6"),
        (_ints([7]), [0, 1], 2, 3, "add up to 6"),
        (_ints([-1, 7]), [0, 2], 2, 3, "add up to 6"),
        (_ints([2**31 - 1, 2**31 - 1, 8]), [0, 3], 2, 3, "add up to 6"),
        (_ints([]), [0, 0], 2, 3, "add up to 6"),
        (_ints([6]), [0, 2], 2, 3, "offsets"),
        (_ints([6]), [1, 1], 2, 3, "offsets"),
        (_ints([6, 6]), [0, 3, 2], 2, 3, "offsets"),
        (_ints([6, 6]), [0, -1, 2], 2, 3, "offsets"),
        (_ints([6]), [], 2, 3, "for offsets"),
        (_ints([6]), [0, 1], -2, -3, "for the size of masks"),
        (_ints([6]), [0, 1], 2**40, 2**40, "for the size of masks"),
        (torch.tensor([6]), [0, 1], 2, 3, "for counts"),
        (_ints([[6]]), [0, 1], 2, 3, "for counts"),
    ],
)
def test_misfits_are_named(counts, offsets, height, width, message):
    with pytest.raises(RuntimeError, match=message):
        torch.ops.lexiseg.rle_decode(
            counts, torch.tensor(offsets, dtype=torch.int64), height, width
        )


@pytest.mark.parametrize("masks", [torch.zeros(2, 3), torch.zeros(1, 2, 3)])
def test_encoding_names_a_misfit(masks):
    with pytest.raises(RuntimeError, match="for masks"):
        torch.ops.lexiseg.rle_encode(masks)
