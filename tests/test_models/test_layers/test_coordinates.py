import math

import pytest
import torch

from mmrefseg.models.layers.coordinates import CoordConv, coordinate_grid, sine_positions, sine_positions_2d


def test_coordinate_grid_by_hand():
    grid = coordinate_grid(torch.zeros(2, 7, 2, 3, dtype=torch.float64))
    assert grid.dtype == torch.float64
    assert grid.tolist() == [[[[-1, 0, 1], [-1, 0, 1]], [[-1, -1, -1], [1, 1, 1]]]] * 2


def test_coord_conv_sees_input_then_x_then_y():
    layer = CoordConv(1, 1, kernel_size=1).eval()
    with torch.no_grad():
        layer.conv.conv.weight.copy_(torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1))
    output = layer(torch.full((1, 1, 2, 2), 200.0))
    expected = torch.tensor([[200.0 - 10 - 100, 200 + 10 - 100], [200 - 10 + 100, 200 + 10 + 100]])
    torch.testing.assert_close(output[0, 0], expected, atol=0.01, rtol=0)  # BN's eps takes 5e-6 of it
    assert CoordConv(3, 5)(torch.randn(2, 3, 4, 6)).shape == (2, 5, 4, 6)


def test_sine_positions_against_the_published_formula():
    channels, length = 6, 5
    table = sine_positions(channels, length)
    assert table.shape == (length, channels)
    for position in range(length):
        for i in range(channels // 2):
            angle = position / 10000**(2 * i / channels)
            assert table[position, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_2d_sine_positions_against_the_published_formula():
    channels, height, width = 8, 2, 3
    table = sine_positions_2d(channels, height, width)
    assert table.shape == (height * width, channels)
    half = channels // 2
    for y in range(height):
        for x in range(width):
            row = table[y * width + x]
            for start, position in ((0, x), (half, y)):
                for i in range(half // 2):
                    angle = position * math.exp(2 * i * -math.log(10000) / half)
                    assert row[start + 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
                    assert row[start + 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_channels_that_do_not_divide():
    with pytest.raises(ValueError, match='even number of channels, got 5'):
        sine_positions(5, 3)
    with pytest.raises(ValueError, match='divisible by 4, got 6'):
        sine_positions_2d(6, 3, 3)
