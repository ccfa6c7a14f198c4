"""Masks on images."""
import numpy as np
import pytest
from matplotlib.figure import Figure

from mmrefseg.visualization import fade_background, show_mask


def test_draw_mask_by_hand():
    image = np.array([[[0, 100, 255], [0, 100, 255]]], np.uint8)
    drawn = fade_background(image, np.array([[7, 0]]), fade=0.2)
    np.testing.assert_array_equal(drawn, [[[0, 100, 255], [49, 129, 253]]])
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(image[0, 1], [0, 100, 255])


def test_draw_mask_of_another_size():
    with pytest.raises(ValueError, match=r'\(2, 2\) .* \(1, 2\)'):
        fade_background(np.zeros((1, 2, 3), np.uint8), np.ones((2, 2)))


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(('mask', 'outlines'), [
    (np.zeros((4, 6)), 0), (np.ones((4, 6)), 2), (np.eye(4, 6), 2), (np.ones((1, 200)), 2), (None, 0),
])
def test_show_mask(mask, outlines):
    height, width = (4, 6) if mask is None else mask.shape
    ax = Figure().subplots()
    show_mask(ax, np.zeros((height, width, 3), np.uint8), mask)
    assert len(ax.collections) == outlines
    assert ax.get_xlim() == (-0.5, width - 0.5) and ax.get_ylim() == (height - 0.5, -0.5)
    assert not ax.axison


def test_outline_closes_at_the_border():
    ax = Figure().subplots()
    show_mask(ax, np.zeros((4, 6, 3), np.uint8), np.ones((4, 6)))
    left, bottom, width, height = ax.collections[0].get_paths()[0].get_extents().bounds
    assert (left, bottom, width, height) == (-0.5, -0.5, 6, 4)


@pytest.mark.parametrize(('side', 'interpolation'), [(112, 'nearest'), (640, 'auto')])
def test_small_images_stay_crisp(side, interpolation):
    ax = Figure().subplots()
    show_mask(ax, np.zeros((10, side, 3), np.uint8))
    assert ax.images[0].get_interpolation() == interpolation
