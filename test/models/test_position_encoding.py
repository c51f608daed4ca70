"""Sine positional codes and pixel centres against hand-computed and loop-level values."""

import math

import torch
from lexiseg_models.parts.position_encoding import pixel_centres, sine_position_encoding


def slow_code(height, width, channels):
    half = channels // 2
    code = torch.zeros(height, width, channels, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            for start, value, length in ((0, y, height), (half, x, width)):
                angle = (value + 1) / (length + 1e-6) * 2 * math.pi
                for i in range(half):
                    phase = angle / 10000 ** (2 * (i // 2) / half)
                    code[y, x, start + i] = math.sin(phase) if i % 2 == 0 else math.cos(phase)
    return code.reshape(height * width, channels)


def test_matches_the_loop_level_definition():
    device = torch.device("cpu")
    for height, width, channels in ((3, 5, 16), (1, 1, 8), (7, 2, 64)):
        code = sine_position_encoding(height, width, channels, device)
        assert torch.allclose(code.double(), slow_code(height, width, channels), atol=1e-5)


def test_puts_y_before_x_and_counts_from_one():
    code = sine_position_encoding(1, 4, 4, torch.device("cpu"))
    # One row: y is at the full turn everywhere, so sin 0 and cos 1.
    assert torch.allclose(code[:, 0], torch.zeros(4), atol=1e-5)
    assert torch.allclose(code[:, 1], torch.ones(4), atol=1e-5)
    # Four columns: x is at a quarter, a half, three quarters and a full turn.
    assert torch.allclose(code[:, 2], torch.tensor([1.0, 0.0, -1.0, 0.0]), atol=1e-5)


def test_centres_are_half_a_pixel_in():
    centres = pixel_centres(1, 2, torch.device("cpu"))
    assert torch.allclose(centres, torch.tensor([[0.25, 0.5], [0.75, 0.5]]))
