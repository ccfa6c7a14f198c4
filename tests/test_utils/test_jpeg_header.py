"""Whole and cut-off JPEGs, told apart whatever stands behind them."""
import cv2
import numpy as np
import pytest

from mmrefseg.datasets.transforms.loading import MAX_SCANNED_PIXELS, decode_image
from mmrefseg.utils.image_header import read_jpeg

PICTURE = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (121, 160, 3), dtype=np.uint8), (0, 0), 2)
KINDS = {
    'baseline': [],
    'progressive': [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    'restarts': [cv2.IMWRITE_JPEG_RST_INTERVAL, 3],
    'optimised': [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
}


def jpeg(kind: str = 'baseline') -> bytes:
    return cv2.imencode('.jpg', PICTURE, [*KINDS[kind], cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()


def film(seed: int) -> bytes:
    """What phones put behind a photo: an MP4, in which all pairs of bytes occur."""
    noise = np.random.default_rng(seed).integers(0, 256, 3000, dtype=np.uint8).tobytes()
    return b'\0\0\0\x18ftypmp42' + noise + b'\xff\xd8' + noise[:99] + b'\xff\xda' + noise


TAILS = {'film': film(0), 'picture': jpeg(), 'start': b'\xff\xd8\xff', 'scan': b'\xff\xda\0\x0c', 'text': b'trailing',
         'zeros': bytes(999), 'end': b'\xff\xd9', 'two films': film(1) + film(2)}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('tail', TAILS)
def test_a_whole_picture_is_one_whatever_stands_behind_it(kind, tail):
    content = jpeg(kind)
    expected = decode_image(content, 'a.jpg')
    assert np.array_equal(decode_image(content + TAILS[tail], 'a.jpg'), expected)
    assert read_jpeg(content + TAILS[tail]).end == len(content) - 2


@pytest.mark.parametrize('kind', ['baseline', 'optimised', 'restarts'])
@pytest.mark.parametrize('tail', ['', *TAILS])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.96])  # within the last block, a mere end marker behind hides a cut
def test_a_cut_off_picture_is_none_whatever_stands_behind_it(kind, tail, share):
    content = jpeg(kind)
    cut = content[:int(share * len(content))] + TAILS.get(tail, b'')
    with pytest.raises(ValueError, match=r'a\.jpg cannot be decoded: it is cut off'):
        decode_image(cut, 'a.jpg')


@pytest.mark.parametrize('tail', ['', 'film', 'picture', 'zeros', 'text'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.99])
def test_a_cut_off_progressive_picture(tail, share):
    content = jpeg('progressive')
    with pytest.raises(ValueError, match='cut off'):
        decode_image(content[:int(share * len(content))] + TAILS.get(tail, b''), 'a.jpg')


def test_films_of_all_kinds():
    """A film has end markers by chance, too: with those right behind a cut, the missing data tell."""
    content, half = jpeg(), jpeg()[:5000]
    for seed in range(40):
        assert read_jpeg(content + film(seed)).end == len(content) - 2
        with pytest.raises(ValueError, match='cannot be decoded'):
            decode_image(half + film(seed), 'a.jpg')


def test_a_grey_picture_is_whole():
    grey = cv2.imencode('.jpg', np.full((40, 40, 3), 128, np.uint8))[1].tobytes()
    assert (decode_image(grey, 'a.jpg') == 128).all()


def test_a_thumbnail_is_not_the_picture():
    content = jpeg()
    thumbnail = b'\xff\xe1' + (len(content) + 2).to_bytes(2, 'big') + content
    with_thumbnail = content[:2] + thumbnail + content[2:]
    assert np.array_equal(decode_image(with_thumbnail, 'a.jpg'), decode_image(content, 'a.jpg'))
    with pytest.raises(ValueError, match='cut off'):
        decode_image(with_thumbnail[:-2], 'a.jpg')


def test_structure():
    assert read_jpeg(jpeg())[:4] == (121, 160, 1, b'')
    assert read_jpeg(jpeg('progressive'))[:3] == (121, 160, 10)
    exif = b'\xff\xe1\0\x0aExif\0\0ab'
    assert read_jpeg(jpeg()[:2] + exif + jpeg()[2:]).exif == b'Exif\0\0ab'
    for broken in (b'', b'\xff\xd8', b'\xff\xd8\xff', b'\xff\xd8\xff\xd9', b'\xff\xd8\xff\xe0\0\0' + bytes(99),
                   b'\xff\xd8\xff\xe0\xff\xff' + bytes(99), b'\xff\xd8\xff\xff' + 99 * b'\xff'):
        assert read_jpeg(broken).end == 0


def test_scans_without_end_are_refused_before_decoding(monkeypatch):
    content = jpeg('progressive')
    start, end = content.rindex(b'\xff\xda'), len(content) - 2
    scans = MAX_SCANNED_PIXELS // (121 * 160)
    assert scans * (end - start) < 1 << 28
    monkeypatch.setattr(cv2, 'imdecode', None)
    many = content[:end] + b'\xff\xda\0\x08\x01\x01\0\0\x3f\0' * scans + b'\xff\xd9'
    with pytest.raises(ValueError, match=rf'{scans + 10} scans of 160 x 121 pixels would take far too long'):
        decode_image(many, 'a.jpg')
