import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmrefseg.structures import resampling_matrix
from mmrefseg.structures.resampling import axis_back_to_original, exceeds


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('size', [(13, 4), (5, 9), (3, 30), (1, 1)])
def test_it_is_what_interpolate_does(interpolation, align_corners, size):
    image = torch.rand(5, 9, dtype=torch.float64)
    rows, columns = (resampling_matrix(old, new, interpolation, align_corners) for old, new in zip((5, 9), size,
                                                                                                strict=True))
    expected = F.interpolate(image[None, None], size, mode=interpolation, align_corners=align_corners)[0, 0]
    np.testing.assert_allclose(rows @ image.numpy() @ columns.T, expected, atol=1e-12)


def test_unknown_interpolation():
    with pytest.raises(ValueError, match="interpolation is 'area'"):
        resampling_matrix(3, 4, 'area')


def test_rows_add_up_to_one_inside_and_to_zero_outside():
    axis = axis_back_to_original(8, 32, 200, 0.5, -34.0, torch.device('cpu'))
    sums = axis.matrix.sum(1)
    torch.testing.assert_close(sums[72:126], torch.ones(54))
    assert not sums[:60].any()
    assert not sums[140:].any()


def test_bands_hold_all_that_counts():
    axis = axis_back_to_original(30, 120, 333, 0.3, 2.5, torch.device('cpu'))
    probability, threshold = torch.rand(2, 30, 30), 0.5
    expected = axis.matrix @ probability @ axis.matrix.T
    found = exceeds(probability, axis, axis, threshold)
    assert torch.equal(found | ((expected - threshold).abs() < 1e-5), (expected > threshold) | (
        (expected - threshold).abs() < 1e-5))


def test_graphs_hold_it():
    axis = axis_back_to_original(6, 24, 100, 0.24, 0.0, torch.device('cpu'))
    probability = torch.rand(2, 6, 6)
    compiled = torch.compile(exceeds, backend='eager', fullgraph=True)
    assert torch.equal(compiled(probability, axis, axis, 0.5), exceeds(probability, axis, axis, 0.5))
