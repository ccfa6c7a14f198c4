import numpy as np
import pytest
from pycocotools import mask as mask_utils

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import draw_mask, mask_to_rle, rle_area, rle_to_mask


def _mask(kind: str) -> np.ndarray:
    random = np.random.default_rng(0)
    mask = np.zeros((301, 207), np.uint8)
    if kind == 'noise':
        mask = random.integers(0, 2, mask.shape, np.uint8)
    elif kind == 'blob':
        mask[40:290, 13:200] = 1
        mask[100:120] = 0
    elif kind == 'full':
        mask[:] = 1
    elif kind == 'corner':
        mask[0, 0] = mask[-1, -1] = 1
    return mask


@pytest.mark.parametrize('kind', ['noise', 'blob', 'full', 'corner', 'empty'])
def test_compressed_rle_is_decoded_as_pycocotools_does(kind):
    mask = _mask(kind)
    rle = mask_to_rle(mask)
    drawn = draw_mask(rle, *mask.shape)
    assert np.array_equal(drawn, mask_utils.decode(rle))
    assert np.array_equal(drawn, mask)
    assert drawn.flags.c_contiguous
    assert drawn.dtype == np.uint8


def test_long_runs():
    """Runs of 1, 2, 3, 4 and 5 groups of five bits, growing and shrinking."""
    runs = [1, 40, 1100, 33000, 1100000, 31, 15, 16, 1, 0, 5]
    rest = 2000 * 1500 - sum(runs)
    drawn = draw_mask({'size': [2000, 1500], 'counts': [*runs, rest]}, 2000, 1500)
    expected = np.repeat(np.arange(len(runs) + 1) % 2, [*runs, rest]).reshape(1500, 2000).T
    assert np.array_equal(drawn, expected)
    assert np.array_equal(draw_mask(mask_to_rle(expected), 2000, 1500), expected)


def test_polygons_are_drawn_as_pycocotools_does():
    polygons = [[10.2, 5.5, 150.7, 20.1, 90, 280.3], [30, 30, 200, 31, 100, 90.5, 20, 200]]
    expected = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(polygons, 301, 207)))
    assert np.array_equal(draw_mask(polygons, 301, 207), expected)


@pytest.mark.parametrize('counts', ['', '0', 'P', 'o' * 40 + '0', '0O0', '1' * 50, 'oooo', '0Ph0Ph0', [], [1], [769],
                                    [384, 385]])
def test_runs_that_do_not_fill_the_image(counts):
    with pytest.raises(ValueError, match='RLE'):
        draw_mask({'size': [24, 32], 'counts': counts}, 24, 32)


@pytest.mark.parametrize('segmentation', [
    {'size': [2, 2], 'counts': [True, 2, True]}, {'size': [True, 4], 'counts': [1, 3]}, [[True, 0, 2, 0, 2, 2]],
    {'instances': [[[[True, 0], [2, 0], [2, 2]]]]}, {'instances': [[[0, 0, 2, 0, 2, np.True_]]]},
    {'union': [[[0, 0, 2, 0, 2, False]]]}])
def test_truth_values_are_no_numbers(segmentation):
    with pytest.raises(InputError, match='numbers alone|must have the size'):
        draw_mask(segmentation, *segmentation.get('size', [2, 2]) if isinstance(segmentation, dict) else (2, 2))


def _code(number: int) -> str:
    """One number as COCO writes it."""
    code = ''
    while True:
        group, number = number & 31, number >> 5
        more = number != (-1 if group & 16 else 0)
        code += chr((group | 32 if more else group) + 48)
        if not more:
            return code


def test_runs_whose_sum_wraps_around():
    """Their sum is 2**64 + 768, of which 64 bits hold 768: the pixels of the image."""
    total, runs, differences = 2**64 + 24 * 32, [], []
    while total:
        before = runs[-2] if len(runs) > 2 else 0
        differences.append(min(2**34 - 1, max(total - before, -2**34)))
        runs.append(before + differences[-1])
        total -= runs[-1]
    with pytest.raises(ValueError, match='runs of its RLE do not fill'):
        draw_mask({'size': [24, 32], 'counts': ''.join(map(_code, differences))}, 24, 32)


@pytest.mark.parametrize(('counts', 'area'), [([0, 12], 12), ([12], 0), ([1, 2, 3, 4, 2], 6), ([], None), ([13], None)])
@pytest.mark.parametrize('compressed', [False, True])
def test_area(counts, area, compressed):
    rle = {'size': [3, 4], 'counts': counts}
    if compressed and area is not None:
        rle = mask_to_rle(rle_to_mask(rle, 3, 4))
    if area is None:
        with pytest.raises(InputError, match='do not fill the image'):
            rle_area(rle)
    else:
        assert rle_area(rle) == area == rle_to_mask(rle, 3, 4).sum()


@pytest.mark.parametrize('rle', [
    {'size': [3, 4], 'counts': '0o'}, {'size': [3, 4], 'counts': 'o' * 50}, {'size': [3, 4], 'counts': '\x00'},
    {'size': [3, 4]}, {'counts': '0<'}, {'size': 3, 'counts': '0<'}, {'size': [3.0, 4], 'counts': [12]},
    {'size': [True, 12], 'counts': [12]}, {'size': [10**6, 10**6], 'counts': [10**12]},
    {'size': [3, 4, 1], 'counts': [12]}])
def test_area_of_what_would_lead_pycocotools_astray(rle):
    with pytest.raises(InputError):
        rle_area(rle)
