import struct
import zlib
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.transforms.loading import decode_image, read_image
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import file_to_mask
from mmrefseg.utils.image_header import MAX_PIXELS, read_image_size


def _png(width: int, height: int) -> bytes:
    """A whole PNG but for its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'\0' * 1000))
            + chunk(b'IEND', b''))


def _bmp(width: int, height: int) -> bytes:
    return struct.pack('<2sIHHIIiiHHIIiiII', b'BM', 154, 0, 0, 54, 40, width, height, 1, 24, 0, 100, 0, 0, 0, 0) + (
        b'\0' * 100)


def _jpeg(width: int, height: int) -> bytes:
    """A small JPEG whose frame header lies about the size."""
    file = BytesIO()
    Image.new('RGB', (8, 8)).save(file, 'JPEG')
    content = bytearray(file.getvalue())
    start = content.index(b'\xff\xc0') + 5
    content[start:start + 4] = struct.pack('>HH', height, width)
    return bytes(content)


def _gif(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new('P', (8, 8)).save(file, 'GIF')
    content = bytearray(file.getvalue())
    content[6:10] = struct.pack('<HH', width, height)
    return bytes(content)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp', 'bmp', 'gif', 'tiff', 'ppm'])
def test_size(tmp_path, suffix):
    path = tmp_path / f'a.{suffix}'
    Image.new('RGB', (30, 20)).save(path)
    assert read_image_size(path) == read_image_size(str(path)) == (20, 30)
    assert read_image_size(BytesIO(path.read_bytes())) == (20, 30)
    assert read_image(path).shape == (20, 30, 3)


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
@pytest.mark.parametrize(('write', 'width', 'height'), [
    (_png, 100_000, 100_000), (_png, 10_000, 10_000), (_bmp, 100_000, 100_000), (_jpeg, 60_000, 60_000),
    (_jpeg, 65_535, 1366), (_gif, 60_000, 60_000)])
def test_bombs_are_refused_before_decoding(tmp_path, monkeypatch, write, width, height):
    path = tmp_path / 'a.img'
    path.write_bytes(write(width, height))
    monkeypatch.setattr('cv2.imdecode', None)
    with pytest.raises(ValueError, match=rf'a\.img cannot be decoded: .*exhaust the memory .*{MAX_PIXELS}.*Shrink it'):
        read_image(path)
    with pytest.raises(ValueError, match=r'a\.img: .*exhaust the memory'):
        file_to_mask(str(path), height, width)


@pytest.mark.parametrize('content', [b'', b'<html>', b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff\xe0', _png(20, 30)[:20]])
def test_what_is_no_image(content):
    with pytest.raises(ValueError, match='damaged, cut off or not an image'):
        read_image_size(BytesIO(content))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image_size(tmp_path / 'a.png')


def test_masks_of_another_size_are_not_decoded(tmp_path, monkeypatch):
    path = tmp_path / 'mask.png'
    Image.fromarray(np.eye(6, 8, dtype=np.uint8)).save(path)
    assert (file_to_mask(str(path), 6, 8) == np.eye(6, 8)).all()
    monkeypatch.setattr('cv2.imdecode', None)
    with pytest.raises(ValueError, match=r'mask\.png: it is \(6, 8\) \(H, W\), but its image \(8, 6\)'):
        file_to_mask(str(path), 8, 6)


@pytest.mark.parametrize('length', [0xffffffff, 0x7fffffff, 1 << 24])
@pytest.mark.parametrize('kind', [b'IDAT', b'IEND', b'tEXt'])
def test_a_part_of_a_png_that_claims_gigabytes(monkeypatch, length, kind):
    """OpenCV would make room for it, of which there may be none."""
    content = _png(4, 3)
    start = content.index(kind if kind in content else b'IEND') - 4
    content = content[:start] + struct.pack('>I', length) + kind + content[start + 8:]
    monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(InputError, match='it is damaged, cut off or not an image'):
        decode_image(content, 'a')


def test_what_stands_behind_a_png_does_no_harm():
    content = BytesIO()
    Image.new('L', (4, 3), 9).save(content, 'PNG')
    assert (decode_image(content.getvalue() + b'\xff' * 50, 'a') == 9).all()
