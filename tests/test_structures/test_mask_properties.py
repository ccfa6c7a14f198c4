"""Masks through their forms and back, whatever they look like."""
import json

import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mmrefseg.structures.mask_formats import draw_mask, instances_to_mask, mask_to_rle, polygons_to_mask

SIDES = st.integers(1, 24)
MASKS = arrays.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1))
HEIGHT, WIDTH = 20, 30


def _polygons(coordinates: st.SearchStrategy) -> st.SearchStrategy:
    """(N, 2) points, most of which make lines that cross each other and the image's border."""
    return arrays.arrays(np.float64, st.tuples(st.integers(3, 8), st.just(2)), elements=coordinates)


@given(MASKS)
def test_rle_and_back(mask):
    rle = json.loads(json.dumps(mask_to_rle(mask)))
    assert np.array_equal(draw_mask(rle, *mask.shape), mask)


@given(MASKS)
def test_runs_and_back(mask):
    ends = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=2))
    runs = {'size': list(mask.shape), 'counts': np.diff(ends, prepend=0).tolist()}
    assert np.array_equal(draw_mask(runs, *mask.shape), mask)


@given(st.lists(st.tuples(SIDES, SIDES, SIDES, SIDES), min_size=1, max_size=5))
def test_polygons_to_rle_and_back(boxes):
    boxes = [(*sorted((a, b)), *sorted((c, d))) for a, b, c, d in boxes]
    expected = np.zeros((24, 24), np.uint8)
    for left, right, top, bottom in boxes:
        expected[top:bottom, left:right] = 1
    polygons = [[left, top, right, top, right, bottom, left, bottom] for left, right, top, bottom in boxes]
    mask = draw_mask(polygons, 24, 24)
    assert np.array_equal(mask, expected)
    assert np.array_equal(draw_mask(mask_to_rle(mask), 24, 24), expected)
    assert np.array_equal(draw_mask({'union': [[polygon] for polygon in polygons]}, 24, 24), expected)


def _inside_and_far(points: np.ndarray, centre: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether each pixel's centre is inside by the even-odd rule, and its distance from the nearest edge."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + centre
    odd, distance = np.zeros(x.shape, bool), np.full(x.shape, np.inf)
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 != y2:
            odd ^= ((y1 > y) != (y2 > y)) & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
        length = (x2 - x1)**2 + (y2 - y1)**2
        along = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0, 1) if length else 0
        distance = np.minimum(distance, np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)))
    return odd, distance


@given(_polygons(st.floats(-15, 45)))
def test_polygons_are_filled_by_the_even_odd_rule_and_cut_off(points):
    odd, distance = _inside_and_far(points, 0.5)
    mask = polygons_to_mask([points.ravel().tolist()], HEIGHT, WIDTH)
    assert np.array_equal(mask[distance > 1], odd[distance > 1])


@given(_polygons(st.integers(-15, 45)))
def test_instances_are_filled_by_the_even_odd_rule_and_cut_off(points):
    odd, distance = _inside_and_far(points, 0)
    mask = instances_to_mask([[points.tolist()]], HEIGHT, WIDTH)
    assert np.array_equal(mask[distance > 1], odd[distance > 1])
