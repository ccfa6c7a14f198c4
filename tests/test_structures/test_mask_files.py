"""What is inside of masks in files: exactly the object, or a refusal."""
import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from mmrefseg.errors import InputError
from mmrefseg.structures.mask_files import file_to_mask

HEIGHT, WIDTH = 60, 80
INSIDE = np.zeros((HEIGHT, WIDTH), bool)
INSIDE[10:30, 20:50] = True
GREY = np.where(INSIDE, 255, 0).astype(np.uint8)
PHOTO = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
PHOTO[0] = 0


def colours(inside: tuple, outside: tuple) -> Image.Image:
    return Image.fromarray(np.where(INSIDE[..., None], inside, outside).astype(np.uint8))


def with_alpha(colour: np.ndarray, alpha: np.ndarray | int) -> Image.Image:
    return Image.fromarray(np.dstack([colour, np.broadcast_to(np.uint8(alpha), INSIDE.shape)]))


def indexed(inside: int, outside: int, palette: list[tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(np.where(INSIDE, inside, outside).astype(np.uint8), 'P')
    image.putpalette([value for colour in palette for value in colour])
    return image


BLACK, WHITE, RED = (0, 0, 0), (255, 255, 255), (255, 0, 0)
RGB = np.dstack([GREY] * 3)
EXACT = {
    '1 bit': Image.fromarray(INSIDE),
    'grey': Image.fromarray(GREY),
    'grey, 1 inside': Image.fromarray(INSIDE.astype(np.uint8)),
    '16-bit': Image.fromarray(INSIDE.astype(np.uint16)),
    '16-bit of many values': Image.fromarray(INSIDE * np.arange(1, 81, dtype=np.uint16) * 200),
    'RGB': Image.fromarray(RGB),
    'red on black': colours(RED, BLACK),
    'grey, opaque alpha': Image.fromarray(GREY).convert('LA'),
    'RGBA, opaque alpha': with_alpha(RGB, 255),
    'RGBA, even alpha': with_alpha(RGB, 128),
    'white, alpha': with_alpha(np.full_like(RGB, 255), GREY),
    'black, alpha': with_alpha(np.zeros_like(RGB), GREY),
    'white, faint alpha': with_alpha(np.full_like(RGB, 255), GREY // 255),
    'colour and alpha alike': with_alpha(RGB, GREY),
    'alpha over all colours but black': with_alpha(np.maximum(PHOTO, 1), GREY),
    'indexed': indexed(1, 0, [BLACK, WHITE]),
    'indexed, white at 0': indexed(1, 0, [WHITE, RED]),
    'indexed, black at 1': indexed(2, 1, [RED, BLACK, WHITE]),
    'indexed, all black': indexed(1, 0, [BLACK, BLACK]),
    'nothing': Image.new('L', (WIDTH, HEIGHT)),
    'nothing, opaque': Image.new('RGBA', (WIDTH, HEIGHT), (0, 0, 0, 255)),
    'nothing, transparent': Image.new('RGBA', (WIDTH, HEIGHT)),
    'everything': Image.new('L', (WIDTH, HEIGHT), 7),
    'everything, opaque': Image.new('RGBA', (WIDTH, HEIGHT), WHITE),
}
AMBIGUOUS = {
    'colour and alpha contradict': (with_alpha(PHOTO, GREY), 'by its colour, 600 by its alpha channel'),
    'inverse alpha': (with_alpha(RGB, 255 - GREY), '600 by its colour, 4200 by its alpha channel'),
    'white and transparent': (Image.new('RGBA', (WIDTH, HEIGHT), (*WHITE, 0)), '4800 by its colour, 0 by its alpha'),
    'index and colour contradict': (indexed(1, 0, [WHITE, BLACK]), '4200 by its colour, 600 by its index'),
    'everything, index 0': (Image.new('P', (WIDTH, HEIGHT), 0, ), None),
    'no background': (Image.fromarray(np.where(INSIDE, 255, 9).astype(np.uint8)), 'several values, but none is 0'),
    'no background in colours': (colours(RED, WHITE), 'several values, but none is 0'),
    'a photo': (Image.fromarray(np.maximum(PHOTO, 1)), 'several values, but none is 0'),
    'fractions': (Image.fromarray(INSIDE.astype(np.float32)), 'its pixels are F, not grey'),
    'CMYK': (Image.fromarray(RGB).convert('CMYK'), 'its pixels are CMYK, not grey'),
}
AMBIGUOUS['everything, index 0'][0].putpalette([*WHITE, *BLACK])
AMBIGUOUS['everything, index 0'] = (AMBIGUOUS['everything, index 0'][0], '4800 by its colour, 0 by its index')


@pytest.mark.parametrize('kind', EXACT)
def test_the_pixels_inside(tmp_path, kind):
    EXACT[kind].save(tmp_path / 'a.png')
    expected = INSIDE * (not kind.startswith('nothing')) | kind.startswith('everything')
    mask = file_to_mask(str(tmp_path / 'a.png'), HEIGHT, WIDTH)
    assert mask.dtype == np.uint8 and mask.sum() == expected.sum()
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize('kind', AMBIGUOUS)
def test_what_is_ambiguous_is_refused(tmp_path, kind):
    image, message = AMBIGUOUS[kind]
    path = tmp_path / ('a.tiff' if image.mode in ('F', 'CMYK') else 'a.png')
    image.save(path)
    with pytest.raises(InputError, match=rf'the mask .*a\.\w+: .*{message}.*[Ss]ave it as a grey PNG, 0 outside'):
        file_to_mask(str(path), HEIGHT, WIDTH)


@pytest.mark.parametrize('suffix', ['bmp', 'gif', 'tiff', 'webp', 'pgm'])
def test_other_exact_formats(tmp_path, suffix):
    Image.fromarray(GREY).save(tmp_path / f'a.{suffix}', **{'lossless': True} if suffix == 'webp' else {})
    assert np.array_equal(file_to_mask(str(tmp_path / f'a.{suffix}'), HEIGHT, WIDTH), INSIDE)


def test_transparent_index(tmp_path):
    image = indexed(1, 0, [WHITE, RED])
    image.save(tmp_path / 'a.png', transparency=0)
    assert np.array_equal(file_to_mask(str(tmp_path / 'a.png'), HEIGHT, WIDTH), INSIDE)
    image.save(tmp_path / 'b.png', transparency=1)
    with pytest.raises(InputError, match='4200 by its alpha channel, 600 by its index'):
        file_to_mask(str(tmp_path / 'b.png'), HEIGHT, WIDTH)


@pytest.mark.parametrize(('name', 'options'), [
    ('a.jpg', {}), ('a.webp', {}), ('a.webp', {'exif': b'Exif\0\0'}), ('a.tiff', {'compression': 'jpeg'})])
def test_lossy_files_are_refused_and_the_mend_works(tmp_path, name, options):
    """Decoded, such a mask grows by its artefacts."""
    path = tmp_path / name
    Image.fromarray(GREY).save(path, **options)
    with pytest.raises(InputError, match=r"lossy (JPEG|WEBP|TIFF).*Image\.open\(path\)\.convert\('L'\)\.point"):
        file_to_mask(str(path), HEIGHT, WIDTH)
    Image.open(path).convert('L').point(lambda v: 255 * (v > 127)).save(tmp_path / 'mask.png')
    assert np.array_equal(file_to_mask(str(tmp_path / 'mask.png'), HEIGHT, WIDTH), INSIDE)


def test_a_mask_of_an_orientation_is_refused(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(GREY).save(tmp_path / 'a.png', exif=exif)
    with pytest.raises(InputError, match='carries an EXIF orientation'):
        file_to_mask(str(tmp_path / 'a.png'), HEIGHT, WIDTH)


def test_several_pictures_are_refused(tmp_path):
    for suffix in ('gif', 'png', 'tiff', 'webp'):
        Image.fromarray(GREY).save(tmp_path / f'a.{suffix}', save_all=True, append_images=[Image.fromarray(GREY[::-1])])
        with pytest.raises(InputError, match='holds several pictures'):
            file_to_mask(str(tmp_path / f'a.{suffix}'), HEIGHT, WIDTH)


def test_grey_and_alpha_in_tiff_of_which_opencv_reads_one(tmp_path):
    Image.merge('LA', [Image.new('L', (WIDTH, HEIGHT), 255), Image.fromarray(GREY)]).save(tmp_path / 'a.tiff')
    with pytest.raises(InputError, match='its pixels are LA .* of which not everything is read'):
        file_to_mask(str(tmp_path / 'a.tiff'), HEIGHT, WIDTH)


def test_tiff_whose_white_is_0(tmp_path):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[262] = 0
    Image.fromarray(255 - GREY).save(tmp_path / 'a.tiff', tiffinfo=info)
    with Image.open(tmp_path / 'a.tiff') as image:
        shown = np.asarray(image) != 0
    assert np.array_equal(file_to_mask(str(tmp_path / 'a.tiff'), HEIGHT, WIDTH), shown)


@pytest.mark.parametrize('path', [5, None, b'a.png', '', 'no.png', '.', 'a\0b', '\ud800'])
def test_what_is_no_file(tmp_path, path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        file_to_mask(path, HEIGHT, WIDTH)


@pytest.mark.parametrize('suffix', ['png', 'bmp', 'gif', 'tiff', 'pgm'])
def test_cut_off(tmp_path, suffix):
    whole = tmp_path / f'a.{suffix}'
    Image.fromarray(PHOTO[..., 0] & 254).save(whole)
    content = whole.read_bytes()
    for share in (0, 0.02, 0.5, 0.9):
        whole.write_bytes(content[:int(share * len(content))])
        with pytest.raises(InputError):
            file_to_mask(str(whole), HEIGHT, WIDTH)
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) is not None
