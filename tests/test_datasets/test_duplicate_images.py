import cv2
import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.duplicate_images import NEAR, Copy, Fingerprint, find_copies, perceptual_hash, read_fingerprint


def pictures(number):
    """Smooth pictures that have nothing to do with each other."""
    generator = np.random.default_rng(0)
    return [cv2.resize(generator.integers(0, 255, (12, 16, 3), np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
            for _ in range(number)]


def jpeg(image, quality):
    return cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


@pytest.mark.parametrize('copy', [
    lambda image: jpeg(image, 30),
    lambda image: cv2.resize(image, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA),
    lambda image: cv2.resize(image, (400, 200), interpolation=cv2.INTER_CUBIC),
    lambda image: image // 2 + 60,
])
def test_copies_share_all_but_few_bits(copy):
    for image in pictures(20):
        assert (perceptual_hash(image) ^ perceptual_hash(copy(image))).bit_count() <= NEAR


def test_others_differ_in_many():
    hashes = [perceptual_hash(image) for image in pictures(30)]
    assert all(number < 2**64 for number in hashes)
    assert min((a ^ b).bit_count() for index, a in enumerate(hashes) for b in hashes[:index]) > 2 * NEAR


def test_a_wave_by_hand():
    """Half a period of a cosine along each row: the second coefficient of the first row, beside the mean."""
    row = 128 + 100 * np.cos(np.pi * (np.arange(32) + 0.5) / 32)
    image = np.repeat(np.tile(np.rint(row).astype(np.uint8), (32, 1))[..., None], 3, axis=2)
    assert perceptual_hash(image) >> 62 == 0b11
    assert perceptual_hash(255 - image) >> 62 == 0b10


def test_exact_copies_come_first():
    a, b, c, d = (Fingerprint(*known)
                  for known in (('a', '1', 0), ('b', '2', 0b1111), ('c', '1', 0), ('d', '3', 0b11111)))
    assert find_copies([b, a], [d, c]) == [Copy(a, c, True), Copy(b, d, False), Copy(b, c, False)]
    assert find_copies([a], [d]) == [] == find_copies([], [a]) == find_copies([a], [])


def test_a_file_is_looked_at_upright(tmp_path):
    image = Image.fromarray(pictures(1)[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / 'plain.png')
    image.rotate(90, expand=True).save(tmp_path / 'turned.png', exif=exif)
    plain, turned = (read_fingerprint(str(tmp_path / f'{name}.png')) for name in ('plain', 'turned'))
    assert plain.name.endswith('plain.png') and plain.sha256 != turned.sha256 and plain.hash == turned.hash


def test_as_many_pairs_as_can_be_told(monkeypatch):
    monkeypatch.setattr('mmrefseg.datasets.duplicate_images.MOST_COPIES', 7)
    for sha256 in ('a', 'b'):
        blank = [Fingerprint(str(index), sha256, 0) for index in range(1000)]
        found = find_copies([Fingerprint(str(index), 'a', 0) for index in range(1000)], blank)
        assert len(found) == 7 and all(copy.is_exact == (sha256 == 'a') for copy in found)
