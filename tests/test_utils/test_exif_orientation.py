"""Images stand upright, whatever file says so."""
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from helpers.oriented_images import TURNS, write_oriented
from PIL import Image, ImageOps

from mmrefseg.datasets.transforms.loading import read_image
from mmrefseg.utils.exif_orientation import orientation_of, turn_back, turn_upright
from mmrefseg.utils.image_header import read_image_size

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
JPEG_PIXELS = np.kron(PIXELS[:2, :3], np.ones((16, 16, 1), np.uint8))


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'tiff'])
def test_files_are_read_upright_or_as_stored(tmp_path, suffix, orientation):
    path, pixels = tmp_path / f'a.{suffix}', JPEG_PIXELS if suffix == 'jpg' else PIXELS
    upright = write_oriented(path, pixels, orientation)
    tolerance = 12 if suffix == 'jpg' else 0
    for ignore, expected in ((False, upright), (True, pixels)):
        found = read_image(path, ignore_orientation=ignore)
        assert found.flags.c_contiguous
        assert found.shape[:2] == read_image_size(path, ignore_orientation=ignore) == expected.shape[:2]
        assert np.abs(found.astype(int) - expected).max() <= tolerance
    with Image.open(path) as image:
        assert np.abs(np.asarray(ImageOps.exif_transpose(image)).astype(int) - upright).max() <= tolerance


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('shape', [(2, 3), (2, 3, 3)])
def test_turning(orientation, shape):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    turned = turn_upright(pixels, orientation)
    assert np.array_equal(turned, TURNS[orientation](pixels))
    assert np.array_equal(turn_back(turned, orientation), pixels)


def test_a_png_whose_exif_follows_the_pixels(tmp_path):
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, 'PNG')
    exif = Image.Exif()
    exif[0x0112] = 6
    data = exif.tobytes().removeprefix(b'Exif\0\0')
    chunk = struct.pack('>I', len(data)) + b'eXIf' + data + struct.pack('>I', zlib.crc32(b'eXIf' + data))
    path = tmp_path / 'a.png'
    path.write_bytes(file.getvalue()[:-12] + chunk + file.getvalue()[-12:])
    assert np.array_equal(read_image(path), np.rot90(PIXELS, -1))
    assert read_image_size(path) == (30, 20)


def _exif(value: int, order: str = '<', count: int = 1) -> bytes:
    head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(f'{order}I', 8)
    return head + struct.pack(f'{order}HHHIHH', count, 0x0112, 3, 1, value, 0) + bytes(4)


@pytest.mark.parametrize(('exif', 'expected'), [
    (_exif(6), 6), (_exif(8, '>'), 8), (b'Exif\0\0' + _exif(3), 3), (_exif(0), 1), (_exif(9), 1), (_exif(65535), 1),
    (b'', 1), (b'Exif\0\0', 1), (b'II*\0', 1), (b'II*\0\xff\xff\xff\xff', 1), (_exif(6)[:18], 1),
    (_exif(6, count=0), 1), (_exif(6, count=65535), 6), (b'XX*\0' + _exif(6)[4:], 1),
])
def test_damaged_metadata_say_nothing(exif, expected):
    assert orientation_of(exif) == expected
