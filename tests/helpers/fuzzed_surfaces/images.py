"""Images and masks in files."""
from __future__ import annotations

import resource
from io import BytesIO
from pathlib import Path

import numpy as np
from helpers.fuzzing import mutate
from PIL import Image

from mmrefseg.datasets.transforms.loading import decode_image
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import draw_mask
from mmrefseg.utils.image_header import read_image_size

from .damaged_files import Attempt

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


def pictures(kind: str, folder: Path) -> Attempt:
    """As image, and as mask; neither takes much memory."""
    path, files = folder / 'a', FILES[kind]

    def attempt(seed):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            try_both(seed)
        finally:
            taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert taken < 1_500_000, f'it took {taken // 1000} MB'

    def try_both(seed):
        damaged = files[0] if seed is None else mutate(files[seed % len(files)], seed // len(files))
        path.write_bytes(damaged)
        try:
            for ignore in (False, True):
                img = decode_image(damaged, 'a', ignore)
                assert img.dtype == np.uint8 and img.ndim == 3
                assert img.shape[:2] == read_image_size(BytesIO(damaged), ignore)
        finally:
            try:
                mask = draw_mask({'file': str(path)}, 24, 32)
            except InputError:
                pass
            else:
                assert mask.shape == (24, 32) and set(np.unique(mask)) <= {0, 1}

    return attempt
