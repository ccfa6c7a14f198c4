import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from mmrefseg.datasets import LoadReferringImage, LoadReferringMask
from mmrefseg.errors import InputError
from mmrefseg.structures.mask_formats import polygons_to_mask, rle_to_mask


@pytest.fixture
def picture() -> np.ndarray:
    """(30, 50, 3), red on the left and blue on the right."""
    picture = np.zeros((30, 50, 3), np.uint8)
    picture[:, :24, 0] = picture[:, 24:, 2] = 255
    return picture


def _load(path):
    return LoadReferringImage()({'img_path': str(path)})


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'bmp', 'webp'])
def test_image_is_rgb(tmp_path, picture, suffix):
    Image.fromarray(picture).save(tmp_path / f'a.{suffix}', quality=100)
    results = _load(tmp_path / f'a.{suffix}')
    assert results['img'].dtype == np.uint8
    assert np.abs(results['img'].astype(int) - picture)[:, np.r_[:20, 30:50]].max() < 12
    assert results['ori_shape'] == results['img_shape'] == (30, 50)


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'I;16', '1'])
def test_other_pixel_formats_become_three_channels(tmp_path, picture, mode):
    image = Image.fromarray(picture)
    image = Image.fromarray(picture[..., 0].astype(np.uint16) * 257) if mode == 'I;16' else image.convert(mode)
    image.save(tmp_path / 'a.png')
    assert _load(tmp_path / 'a.png')['img'].shape == (30, 50, 3)


def test_missing_image(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'(?s)a\.jpg is missing.*data_prefix'):
        _load(tmp_path / 'a.jpg')


def test_empty_image(tmp_path):
    (tmp_path / 'a.jpg').touch()
    with pytest.raises(ValueError, match=r'a\.jpg is empty \(0 bytes\)'):
        _load(tmp_path / 'a.jpg')


def test_file_that_is_no_image(tmp_path):
    (tmp_path / 'a.jpg').write_text('<html>')
    with pytest.raises(ValueError, match=r'a\.jpg cannot be decoded'):
        _load(tmp_path / 'a.jpg')


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'webp'])
@pytest.mark.parametrize('share', [0.02, 0.5, 0.9, 0.999])
def test_cut_off_image(tmp_path, suffix, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = cv2.imencode(f'.{suffix}', noise)[1].tobytes()
    path = tmp_path / f'a.{suffix}'
    path.write_bytes(whole[:int(len(whole) * share)])
    with pytest.raises(ValueError, match=rf'a\.{suffix} (is cut off|cannot be decoded)'):
        _load(path)


def _inside(polygons, height, width) -> np.ndarray:
    """Even-odd test of every pixel's centre, polygon by polygon; a pixel counts if any has it."""
    result = np.zeros((height, width), bool)
    for polygon in polygons:
        points = np.reshape(polygon, (-1, 2))
        for y in range(height):
            for x in range(width):
                px, py, odd = x + 0.5, y + 0.5, False
                for (x1, y1), (x2, y2) in zip(points, np.roll(points, 1, axis=0), strict=True):
                    if (y1 > py) != (y2 > py) and px < (x2 - x1) * (py - y1) / (y2 - y1) + x1:
                        odd = not odd
                result[y, x] |= odd
    return result


_OVERLAPPING = [[2, 2, 12, 2, 12, 12, 2, 12], [8, 8, 18, 8, 18, 18, 8, 18]]


def test_overlapping_polygons_are_united():
    mask = polygons_to_mask(_OVERLAPPING, 24, 32)
    assert mask.dtype == np.uint8
    assert mask.sum() == 100 + 100 - 16
    assert np.array_equal(mask, _inside(_OVERLAPPING, 24, 32))


def test_apart_and_slanted_polygons():
    polygons = [[1.5, 1, 10, 3, 6, 9.5], [20, 4, 30, 4, 25, 20]]
    mask = polygons_to_mask(polygons, 24, 32)
    assert np.count_nonzero(mask != _inside(polygons, 24, 32)) <= 6  # pycocotools rounds outlines to 1/5 pixel


def test_polygon_over_the_border():
    mask = polygons_to_mask([[-5, -5, 40, -5, 40, 10, -5, 10]], 24, 32)
    assert mask[:10].all()
    assert not mask[10:].any()


def test_degenerate_polygons_are_skipped():
    assert polygons_to_mask([[1, 1, 5, 5], [], _OVERLAPPING[0], [3, 3]], 24, 32).sum() == 100


@pytest.mark.parametrize('polygons', [[], [[]], [[1, 1, 5, 5], [3, 3]]])
def test_only_degenerate_polygons(polygons):
    with pytest.raises(ValueError, match=f'none of its {len(polygons)} polygons has three points'):
        polygons_to_mask(polygons, 24, 32)


@pytest.mark.parametrize('polygon', [[0, 0, 9, 0, 9, 9, 1], [0, 0, 1e12, 0, 9, 9], [0, 0, float('nan'), 0, 9, 9],
                                     [0, 0, float('inf'), 0, 9, 9], [[0, 0], [9, 0], [9, 9]] * 2])
def test_impossible_polygons(polygon):
    with pytest.raises(ValueError, match='flat list of x, y pairs near the image'):
        polygons_to_mask([_OVERLAPPING[0], polygon], 24, 32)


def _rle_cases() -> tuple[np.ndarray, list, str]:
    mask = (np.random.default_rng(1).random((24, 32)) > 0.6).astype(np.uint8)
    runs = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=2))
    counts = np.diff(runs, prepend=0).tolist()
    return mask, counts, mask_utils.encode(np.asfortranarray(mask))['counts'].decode()


def test_rle_of_run_lengths_and_compressed():
    mask, counts, compressed = _rle_cases()
    assert sum(counts) == mask.size
    assert np.array_equal(rle_to_mask({'size': [24, 32], 'counts': counts}, 24, 32), mask)
    assert np.array_equal(rle_to_mask({'size': [24, 32], 'counts': compressed}, 24, 32), mask)


@pytest.mark.parametrize('size', [[32, 24], [24], None, [24, '32']])
def test_rle_of_another_size(size):
    with pytest.raises(InputError):
        rle_to_mask({'size': size, 'counts': [768]}, 24, 32)


@pytest.mark.parametrize('counts', [[0, 700, 100], [-5, 773], ['a'], [[768]], '1Ph0'])
def test_rle_that_is_damaged(counts):
    with pytest.raises(InputError):
        rle_to_mask({'size': [24, 32], 'counts': counts}, 24, 32)


@pytest.mark.parametrize('counts', ['zzzzzz', '0Ph0P', 'é', '0Ph0\n', '', 5, None])
def test_counts_that_are_no_rle_never_reach_pycocotools(counts):
    """It would read, and write, beyond the end of a string which stops inside a number."""
    with pytest.raises(ValueError, match='must be a list of run lengths or'):
        rle_to_mask({'size': [24, 32], 'counts': counts}, 24, 32)


def test_runs_that_end_early_never_show_old_memory(monkeypatch):
    """pycocotools does not clear the memory behind the last run."""
    monkeypatch.setattr(mask_utils, 'decode', lambda rle: np.full((24, 32), 7, np.uint8))
    with pytest.raises(ValueError, match='do not fill'):
        rle_to_mask({'size': [24, 32], 'counts': [3, 4]}, 24, 32)


def _sample(**changes) -> dict:
    return {'img_path': 'a.jpg', 'ori_shape': (24, 32), 'height': 24, 'width': 32, 'ann_id': 11,
            'segmentation': _OVERLAPPING, **changes}


def test_mask_has_the_original_size_whatever_happened_to_the_image():
    results = LoadReferringMask()(_sample(img=np.zeros((448, 448, 3), np.uint8), img_shape=(448, 448)))
    assert results['gt_seg_map'].shape == (24, 32)
    assert results['gt_seg_map'].sum() == 184
    assert results['seg_fields'] == ['gt_seg_map']


def test_rle_in_the_transform():
    assert LoadReferringMask()(_sample(segmentation={'size': [24, 32], 'counts': '0Ph0'}))['gt_seg_map'].all()


def test_image_of_another_size_than_annotated():
    both = r'a\.jpg is \(12, 16\) \(H, W\), but its annotations were made for \(24, 32\)'
    with pytest.raises(ValueError, match=both):
        LoadReferringMask()(_sample(ori_shape=(12, 16)))


@pytest.mark.parametrize('segmentation, reason', [
    ([[1, 2]], 'three points'),
    ({'size': [9, 9], 'counts': [81]}, r'size \[24, 32\] of the image, got \[9, 9\]'),
    ([['a'] * 6], 'numbers alone'),
    ([5], 'three points'),
    ({'size': 3, 'counts': []}, 'got 3'),
    ({}, 'none of the keys'),
])
def test_mask_that_cannot_be_drawn_is_named(segmentation, reason):
    with pytest.raises(ValueError, match=rf'annotation 11 of the image a\.jpg cannot be drawn.*{reason}'):
        LoadReferringMask()(_sample(segmentation=segmentation))


def test_mask_after_a_flip_is_refused():
    with pytest.raises(ValueError, match='must stand before FlipReferring'):
        LoadReferringMask()(_sample(flip=True))
