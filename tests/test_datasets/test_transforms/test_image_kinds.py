"""Every kind of image file is decoded right, or refused in one clear message."""
import os
import warnings
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.transforms.loading import decode_image, image_bytes, read_image
from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.utils.image_header import read_image_size

PICTURE = np.zeros((20, 30, 3), np.uint8)
PICTURE[:10, :12], PICTURE[10:, :12], PICTURE[:, 12:] = (250, 10, 20), (10, 240, 30), (200, 200, 200)
IMAGE = Image.fromarray(PICTURE)
GREY = np.asarray(IMAGE.convert('L'))


def written(image: Image.Image, kind: str, **options) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def encoded(pixels: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def hole() -> Image.Image:
    """Partly transparent; the colours below remain."""
    image = IMAGE.convert('RGBA')
    image.putalpha(Image.fromarray(np.where(GREY > 100, 255, 0).astype(np.uint8)))
    return image


def of_grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2)


PALETTE = IMAGE.quantize(8)
DECODED = {
    'grey': (written(Image.fromarray(GREY), 'PNG'), of_grey(GREY), 0),
    '1 bit': (written(Image.fromarray(GREY > 150), 'PNG'), of_grey(255 * (GREY > 150)), 0),
    'grey and alpha': (written(IMAGE.convert('LA'), 'PNG'), of_grey(GREY), 0),
    'RGB and alpha': (written(hole(), 'PNG'), PICTURE, 0),
    'RGB and alpha in WebP': (written(hole(), 'WEBP', lossless=True, exact=True), PICTURE, 0),
    'indexed': (written(PALETTE, 'PNG'), PICTURE, 0),
    'indexed and transparent': (written(PALETTE, 'PNG', transparency=1), PICTURE, 0),
    'GIF': (written(PALETTE, 'GIF'), PICTURE, 0),
    'transparent GIF': (written(PALETTE, 'GIF', transparency=1), None, 0),
    'CMYK JPEG': (written(IMAGE.convert('CMYK'), 'JPEG', quality=100), PICTURE, 6),
    'grey JPEG': (written(Image.fromarray(GREY), 'JPEG', quality=100), of_grey(GREY), 6),
    'CMYK TIFF': (written(IMAGE.convert('CMYK'), 'TIFF'), PICTURE, 0),
    'compressed TIFF': (written(IMAGE, 'TIFF', compression='tiff_lzw'), PICTURE, 0),
    '16-bit RGB PNG': (encoded(PICTURE.astype(np.uint16) * 257, '.png'), PICTURE, 0),
    '16-bit RGB TIFF': (encoded(PICTURE.astype(np.uint16) * 257, '.tiff'), PICTURE, 0),
    '16-bit grey PNG': (encoded(GREY.astype(np.uint16) * 256, '.png'), of_grey(GREY), 0),
    '16-bit grey TIFF': (encoded(GREY.astype(np.uint16) * 256, '.tiff'), of_grey(GREY), 0),
    '16-bit black PNG': (encoded(np.zeros((20, 30), np.uint16), '.png'), np.zeros_like(PICTURE), 0),
    'PPM': (written(IMAGE, 'PPM'), PICTURE, 0),
    'BMP': (written(IMAGE, 'BMP'), PICTURE, 0),
}
TWICE = {'save_all': True, 'append_images': [IMAGE.transpose(Image.Transpose.ROTATE_180)]}
REFUSED = {
    '12 bits in a PNG of 16': (encoded(PICTURE.astype(np.uint16) * 16, '.png'), 'no value is above 4000.*times 16'),
    '12 bits in a TIFF of 16': (encoded(GREY.astype(np.uint16) * 16, '.tiff'), r'no value is above \d+.*times 16'),
    '8 bits in a PNG of 16': (encoded(PICTURE.astype(np.uint16), '.png'), 'no value is above 250.*times 256'),
    '12 bits in a PGM of 16': (encoded(GREY.astype(np.uint16) * 16, '.pgm'), 'times 16'),
    'float TIFF': (encoded(PICTURE.astype(np.float32) / 255, '.tiff'), 'TIFF, or one of a kind that is not read'),
    'float grey TIFF': (encoded(GREY.astype(np.float32) / 255, '.tiff'), 'float32|not read'),
    '32-bit TIFF': (written(Image.fromarray(GREY.astype(np.int32)), 'TIFF'), 'int32|not read'),
    'GIF film': (written(IMAGE, 'GIF', **TWICE), r'several pictures \(GIF\).*Save that one'),
    'WebP film': (written(IMAGE, 'WEBP', **TWICE), r'several pictures \(WEBP\)'),
    'PNG film': (written(IMAGE, 'PNG', **TWICE), r'several pictures \(PNG\)'),
    'TIFF of two pages': (written(IMAGE, 'TIFF', **TWICE), r'several pictures \(TIFF\)'),
    'HEIC': (b'\0\0\0\x18ftypheic' + bytes(999), 'HEIC, AVIF or a film.*Convert it to JPEG or PNG'),
    'AVIF': (b'\0\0\0\x1cftypavif' + bytes(999), 'HEIC, AVIF or a film'),
    'JPEG 2000': (written(IMAGE.resize((300, 200)), 'JPEG2000'), 'not an image'),
    'PDF': (b'%PDF-1.4' + bytes(999), 'not an image'),
    'SVG': (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 'not an image'),
}


@pytest.mark.parametrize('kind', DECODED)
def test_decoded(tmp_path, kind):
    content, expected, tolerance = DECODED[kind]
    img = decode_image(content, 'a.img')
    assert img.dtype == np.uint8 and img.shape == (20, 30, 3) and img.flags.c_contiguous
    if expected is not None:
        assert np.abs(img.astype(int) - expected).max() <= tolerance
    (tmp_path / 'a.img').write_bytes(content)
    assert read_image_size(tmp_path / 'a.img') == (20, 30)


@pytest.mark.parametrize('kind', REFUSED)
def test_refused(kind):
    content, message = REFUSED[kind]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with pytest.raises(InputError, match=rf'The image a\.img cannot be decoded: .*({message})'):
            decode_image(content, 'a.img')


@pytest.mark.parametrize(('suffix', 'kind'), [('gif', 'GIF'), ('tiff', 'TIFF'), ('bmp', 'BMP'), ('ppm', 'PPM')])
def test_cut_off(suffix, kind):
    content = written(Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)), kind)
    for share in (0.02, 0.5, 0.9):
        with pytest.raises(InputError, match='cannot be decoded'):
            decode_image(content[:int(share * len(content))], 'a')


def test_two_pictures_in_a_jpeg_of_a_phone_are_one():
    """The second one of an MPO file is the other eye's, or a thumbnail."""
    content = written(IMAGE, 'MPO', save_all=True, append_images=[IMAGE], quality=95, subsampling=0)
    assert np.abs(decode_image(content, 'a').astype(int) - PICTURE).max() < 60
    assert read_image_size(BytesIO(content)) == (20, 30)


def test_only_regular_files_are_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'folder.jpg').mkdir()
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    (tmp_path / 'file').touch()
    for read in (read_image, image_bytes, read_image_size):
        for name in ('pipe.jpg', 'folder.jpg', '/dev/zero'):
            with pytest.raises(InputError, match='is no file, but a folder, pipe or device'):
                read(tmp_path / name)
        for name in ('loop.jpg', 'x' * 300):
            with pytest.raises(FileError, match='cannot be opened'):
                read(tmp_path / name)
        for name in ('none.jpg', 'file/a.jpg', 'none/a.jpg'):
            with pytest.raises(MissingInputError):
                read(tmp_path / name)
        for name in ('a\0b.jpg', '\ud800.jpg'):
            with pytest.raises(InputError):
                read(tmp_path / name)
    monkeypatch.setattr('mmrefseg.datasets.transforms.loading.MAX_IMAGE_BYTES', 99)
    (tmp_path / 'large.jpg').write_bytes(bytes(100))
    with pytest.raises(InputError, match='has 100 bytes; no file of this kind of more than 99 is read'):
        read_image(tmp_path / 'large.jpg')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'x')
    (tmp_path / 'a.jpg').chmod(0)
    with pytest.raises(FileError, match='cannot be opened'):
        read_image(tmp_path / 'a.jpg')
