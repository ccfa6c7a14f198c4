"""Polygons that no annotator meant: what is made of them is documented in the module."""
import math

import numpy as np
import pytest

from mmrefseg.errors import InputError
from mmrefseg.structures import mask_formats
from mmrefseg.structures.mask_formats import _length, draw_mask

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


@pytest.mark.parametrize(('points', 'size'), [(8, (40, 40)), (16, (60_000, 1)), (16, (1, 60_000))])
def test_an_outline_that_runs_up_and_down(points, size):
    """A few numbers; pycocotools would take 20 bytes for each pixel on the way, and end the process without them."""
    far = 4 * max(size) * points
    times = (1 << 22) // far
    zigzag = [[0, 0], [4 * max(size), 0] if size[0] == 1 else [0, 4 * max(size)]] * (points // 2)
    flat = np.ravel(zigzag).tolist()
    assert draw_mask([flat] * min(times, 3), *size).shape == size
    with pytest.raises(InputError, match='its polygons are more than 4194304 pixels long, as no outline is'):
        draw_mask([flat] * (times + 1), *size)
    with pytest.raises(InputError, match='its polygons are more than 4194304 pixels long'):
        draw_mask([flat * (times + 1)], *size)


def test_lengths_by_hand():
    assert _length(np.array([0, 0, 3, 1, 3, 5, 0, 5.])) == 3 + 4 + 3 + 5


def test_more_points_than_can_be_drawn():
    """Pillow looks at each of them in each row."""
    points = [[0, 0], [0, 30_000]] * 500
    assert draw_mask({'instances': [[points]]}, 60_000, 1).shape == (60_000, 1)
    with pytest.raises(InputError, match=r'more points than can be drawn on an image of \(60000, 1\)'):
        draw_mask({'instances': [[points] * 3]}, 60_000, 1)


@pytest.mark.parametrize('segmentation', [None, [[0, 0, 1, 0, 1, 1]], {'size': [60_000, 60_000], 'counts': [60_000**2]},
                                          {'instances': []}, {'union': []}])
def test_a_size_that_no_image_has(segmentation):
    for size in ((60_000, 60_000), (10**9, 10**9), (0, 5)):
        with pytest.raises(InputError, match='declares a size'):
            draw_mask(segmentation, *size)


def test_a_union_without_end(monkeypatch):
    monkeypatch.setattr(mask_formats, '_MOST_UNITED', 1600 * 4)
    part = {'size': [40, 40], 'counts': [1600]}
    assert not draw_mask({'union': [part] * 4}, 40, 40).any()
    with pytest.raises(InputError, match='it unites 5 masks'):
        draw_mask({'union': [part] * 5}, 40, 40)


def test_many_polygons_are_what_they_are_one_by_one():
    polygons = [[x, y, x + 3, y, x, y + 3] for x in range(0, 60, 4) for y in range(0, 60, 5)]
    expected = sum(draw_mask([polygon], 64, 64).astype(int) for polygon in polygons) > 0
    assert len(polygons) == 180 and np.array_equal(draw_mask(polygons, 64, 64), expected)
    assert np.array_equal(draw_mask(polygons[:17], 64, 64), draw_mask({'union': [[p] for p in polygons[:17]]}, 64, 64))
