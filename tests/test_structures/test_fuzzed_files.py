"""Damaged images and masks end in a picture or in a clear error."""
import numpy as np
import pytest
from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzed_surfaces.images import FILES
from helpers.fuzzing import endings

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import draw_mask


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', FILES)
def test_damaged_files(tmp_path, kind):
    attempt = SURFACES[f'images and masks: {kind}'](tmp_path)
    attempt(None)
    assert endings(attempt, range(60 * len(FILES[kind]))).unclear == {}


SQUARE = [2, 2, 12, 2, 12, 12, 2, 12]
ODD = [None, True, 0, -1, 0.5, 1e300, float('nan'), float('inf'), 10**30, -10**30, '', 'x', '5', b'x', [], {}, (), [[]],
       [1], [None] * 6, ['1'] * 6, [True] * 6, [[1] * 6], [1e300] * 6, [10**30] * 6, [[1, 2], [3]], {'size': 5},
       object()]


def _odd_segmentations():
    yield from (odd for odd in ODD if odd is not None)
    for odd in ODD:
        yield from ([odd], [SQUARE, odd], [[*SQUARE[:-1], odd]], {'counts': odd}, {'size': odd, 'counts': [768]},
                    {'size': [24, 32], 'counts': odd}, {'size': [24, 32], 'counts': [odd]},
                    {'size': [24, 32], 'counts': [768, odd]}, {'size': [24, odd], 'counts': [768]}, {'file': odd},
                    {'instances': odd}, {'instances': [odd]}, {'instances': [[odd]]}, {'instances': [[[odd]]]},
                    {'instances': [[[[1, 2], [3, odd]]]]}, {'union': odd}, {'union': [odd]},
                    {'union': [{'union': [odd]}]}, {odd if isinstance(odd, str) else 'other': odd})
    deep = []
    for _ in range(5000):
        deep = [deep]
    yield from ({'size': [24, 32], 'counts': deep}, deep, {'instances': deep}, {'union': deep})
    yield from ({'size': [24, 32], 'counts': counts} for counts in (
        [-1, 769], [0.5, 767.5], [769], [767], [2**63, 768], [2**64 - 1, 769], [0] * 10**5, 'o' * 10**5 + '0',
        '0' * 10**5, '0Ph0' * 999, [384, 385], ['768'], [[768]], [768, None]))


def test_odd_segmentations_end_in_a_mask_or_in_an_input_error():
    number = 0
    for segmentation in _odd_segmentations():
        try:
            mask = draw_mask(segmentation, 24, 32)
        except InputError:
            number += 1
            continue
        assert mask.shape == (24, 32) and mask.dtype == np.uint8 and mask.max(initial=0) <= 1
    assert number > 400
