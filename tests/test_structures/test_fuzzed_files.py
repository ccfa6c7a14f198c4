"""Damaged images and masks end in a picture or in a clear error."""
from io import BytesIO

import numpy as np
import pytest
from helpers.fuzzing import mutate
from PIL import Image

from mmrefseg.datasets.transforms.loading import decode_image
from mmrefseg.errors import InputError
from mmrefseg.structures.masks import draw_mask
from mmrefseg.utils.image_header import read_image_size

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
MASK = np.zeros((24, 32), np.uint8)
MASK[3:9, 4:20] = 255


def _written(pixels: np.ndarray, kind: str, **options) -> bytes:
    file, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 1 if pixels.ndim == 2 else 6
    Image.fromarray(pixels).save(file, kind, **options, **({} if kind in ('GIF', 'BMP') else {'exif': exif}))
    return file.getvalue()


FILES = {
    'JPEG': [_written(PICTURE, 'JPEG'), _written(PICTURE, 'JPEG', progressive=True)],
    'PNG': [_written(PICTURE, 'PNG'), _written(MASK, 'PNG')],
    'WEBP': [_written(PICTURE, 'WEBP'), _written(MASK, 'WEBP', lossless=True)],
    'TIFF': [_written(PICTURE, 'TIFF', compression='tiff_lzw'), _written(MASK, 'TIFF')],
    'GIF': [_written(MASK, 'GIF')],
    'BMP': [_written(PICTURE, 'BMP')],
}


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('kind', FILES)
def test_damaged_files(tmp_path, kind):
    path = tmp_path / 'a'
    for seed in range(60):
        for content in FILES[kind]:
            damaged = mutate(content, seed)
            path.write_bytes(damaged)
            for ignore in (False, True):
                try:
                    img = decode_image(damaged, 'a', ignore)
                except InputError:
                    continue
                assert img.dtype == np.uint8 and img.ndim == 3
                assert img.shape[:2] == read_image_size(BytesIO(damaged), ignore)
            try:
                mask = draw_mask({'file': str(path)}, 24, 32)
            except InputError:
                continue
            assert mask.shape == (24, 32) and set(np.unique(mask)) <= {0, 1}


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
