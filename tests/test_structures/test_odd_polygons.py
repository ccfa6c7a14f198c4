"""Polygons that no annotator meant: what is made of them is documented in the module."""
import math

import numpy as np
import pytest

from mmrefseg.structures.masks import draw_mask

STAR = [[20 + 15 * math.sin(0.8 * math.pi * k), 20 - 15 * math.cos(0.8 * math.pi * k)] for k in range(5)]
SQUARE = [[5, 5], [25, 5], [25, 25], [5, 25]]


def _both_ways(points: list) -> tuple[np.ndarray, np.ndarray]:
    """Drawn in COCO's and in PhraseCut's way."""
    return draw_mask([np.ravel(points).tolist()], 40, 40), draw_mask({'instances': [[points]]}, 40, 40)


def test_star_is_hollow():
    for mask in _both_ways(STAR):
        assert not mask[18:23, 18:23].any()
        assert mask[10, 20] and mask[25, 16]


def test_square_drawn_twice_is_nothing_but_its_edge():
    coco, phrasecut = _both_ways(SQUARE * 2)
    assert not coco.any()
    phrasecut[5:26, [5, 25]] = phrasecut[[5, 25], 5:26] = 0
    assert not phrasecut.any()


def test_negative_coordinates_are_cut_off():
    coco, phrasecut = _both_ways([[-5, -5], [10, -5], [10, 10], [-5, 10]])
    assert coco.sum() == coco[:10, :10].sum() == 100
    assert phrasecut.sum() == phrasecut[:11, :11].sum() == 121


def test_polygon_beside_the_image_is_nothing():
    for mask in _both_ways([[-15, -15], [-3, -15], [-3, -3]]):
        assert not mask.any()


@pytest.mark.parametrize('number', [math.nan, math.inf, -math.inf, -1e6])
def test_no_number_or_far_away(number):
    points = [*SQUARE[:3], [5, number]]
    for segmentation, place in (([np.ravel(points).tolist()], r'near the image of \(40, 40\)'),
                                ({'instances': [[points]]}, 'between -32768 and 32768')):
        with pytest.raises(ValueError, match=place):
            draw_mask(segmentation, 40, 40)
