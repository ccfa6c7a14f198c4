import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose

from mmrefseg.datasets import FastLetterbox, FlipReferring, Letterbox, Stretch
from mmrefseg.structures import letterbox_matrix

_CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073]) * 255


def _sample(height: int, width: int, **more) -> dict:
    noise = np.random.default_rng(height * 1000 + width)
    coarse = noise.integers(0, 256, (max(2, height // 8), max(2, width // 8), 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4:height // 2 + 1, width // 3:width // 2 + 1] = 1
    return {'img': cv2.resize(coarse, (width, height)), 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map'],
            'img_path': 'a.jpg', 'text': 'the left one', 'ori_shape': (height, width), 'img_shape': (height, width),
            **more}


@pytest.mark.parametrize('height, width, expected', [
    (100, 200, [[0.5, 0, 0], [0, 0.5, 25]]),
    (200, 100, [[0.5, 0, 25], [0, 0.5, 0]]),
    (50, 50, [[2, 0, 0], [0, 2, 0]]),
    (100, 100, [[1, 0, 0], [0, 1, 0]]),
    (1, 2000, [[0.05, 0, 0], [0, 0.05, 49.975]]),
])
def test_letterbox_matrix(height, width, expected):
    matrix = letterbox_matrix(height, width, 100)
    assert matrix.dtype == np.float64
    assert np.allclose(matrix, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('height, width', [(480, 640), (333, 500), (640, 427), (31, 7)])
def test_letterbox_matrix_is_the_map_of_three_corners(height, width):
    """The published loaders solve for the map from where three corners must go."""
    scale = min(448 / height, 448 / width)
    left, top = (448 - width * scale) / 2, (448 - height * scale) / 2
    corners = np.array([[0, 0], [width, 0], [0, height]], np.float32)
    matrix = cv2.getAffineTransform(corners, (corners * scale + [left, top]).astype(np.float32))
    assert np.allclose(letterbox_matrix(height, width, 448), matrix, atol=1e-4)


def _cubic(t: np.ndarray, a: float = -0.75) -> np.ndarray:
    t = np.abs(t)
    return np.where(t <= 1, (a + 2) * t**3 - (a + 3) * t**2 + 1, np.where(t < 2, a * (t**3 - 5 * t**2 + 8 * t - 4), 0))


def _hat(t: np.ndarray) -> np.ndarray:
    return np.clip(1 - np.abs(t), 0, None)


def _warp_slowly(image: np.ndarray, matrix: np.ndarray, size: int, kernel, border: np.ndarray) -> np.ndarray:
    """Every target pixel's place in the source, then a separable kernel over a source with a wide border."""
    margin = 4
    padded = np.tile(border, (image.shape[0] + 2 * margin, image.shape[1] + 2 * margin, 1)).astype(np.float64)
    padded[margin:-margin, margin:-margin] = image
    target = np.arange(size)
    xs, ys = (target - matrix[0, 2]) / matrix[0, 0], (target - matrix[1, 2]) / matrix[1, 1]
    columns, rows = np.arange(-margin, image.shape[1] + margin), np.arange(-margin, image.shape[0] + margin)
    across, down = kernel(xs[:, None] - columns), kernel(ys[:, None] - rows)
    result = np.einsum('yr,rcd,xc->yxd', down, padded, across)
    result[:, (xs < -margin + 2) | (xs > image.shape[1] + margin - 3)] = border
    result[(ys < -margin + 2) | (ys > image.shape[0] + margin - 3)] = border
    return result


@pytest.mark.parametrize('height, width', [(30, 40), (40, 30), (90, 64), (13, 13)])
def test_letterbox_against_a_slow_reference(height, width):
    sample = _sample(height, width)
    results = Letterbox(48)(dict(sample))
    matrix = letterbox_matrix(height, width, 48)
    image = np.clip(_warp_slowly(sample['img'], matrix, 48, _cubic, _CLIP_MEAN), 0, 255)
    difference = np.abs(results['img'] - image)
    assert difference.max() < 8  # OpenCV rounds places to 1/32 pixel
    assert difference.mean() < 0.8
    soft = _warp_slowly(sample['gt_seg_map'][..., None], matrix, 48, _hat, np.zeros(1))[..., 0]
    sure = np.abs(soft - 0.5) > 0.05
    assert np.array_equal(results['gt_seg_map'][sure], (soft >= 0.5)[sure])
    assert set(np.unique(results['gt_seg_map'])) == {0, 1}


@pytest.mark.parametrize('height, width', [(30, 40), (40, 30), (90, 64), (13, 29), (1, 300)])
def test_fast_letterbox_against_a_slow_reference(height, width):
    sample = _sample(height, width)
    results = FastLetterbox(48)(dict(sample))
    top, left = (np.flatnonzero((results['img'] != np.rint(_CLIP_MEAN)).any(axis=(axis, 2)))[0] for axis in (1, 0))
    inner = max(1, round(height * 48 / max(height, width))), max(1, round(width * 48 / max(height, width)))
    assert (top, left) == ((48 - inner[0]) // 2, (48 - inner[1]) // 2)
    x, y = inner[1] / width, inner[0] / height
    matrix = np.array([[x, 0, left + (x - 1) / 2], [0, y, top + (y - 1) / 2]])
    assert np.allclose(results['warp_matrix'], matrix)
    assert results['scale_factor'] == pytest.approx((x, y))
    assert results['img_padding_size'] == (left, left, top, top)
    # OpenCV repeats the edge where the kernel reaches beyond it.
    repeated = {key: np.pad(sample[key], ((4, 4), (4, 4)) + ((0, 0), ) * (sample[key].ndim - 2), 'edge')
                for key in ('img', 'gt_seg_map')}
    matrix = matrix.copy()
    matrix[:, 2] -= 4 * np.array([x, y])
    inside = np.s_[top:top + inner[0], left:left + inner[1]]
    image = np.clip(_warp_slowly(repeated['img'], matrix, 48, _cubic, _CLIP_MEAN), 0, 255)[inside]
    difference = np.abs(results['img'][inside] - image)
    assert difference.max() < 1.5
    soft = _warp_slowly(repeated['gt_seg_map'][..., None], matrix, 48, _hat, np.zeros(1))[..., 0]
    sure = np.abs(soft - 0.5) > 0.05
    sure[:top] = sure[top + inner[0]:] = sure[:, :left] = sure[:, left + inner[1]:] = False
    assert np.array_equal(results['gt_seg_map'][sure], (soft >= 0.5)[sure])
    assert results['gt_seg_map'].sum() == results['gt_seg_map'][inside].sum()
    assert np.array_equal(np.delete(results['img'], np.r_[inside[0]], axis=0).reshape(-1, 3),
                          np.broadcast_to(np.rint(_CLIP_MEAN), ((48 - inner[0]) * 48, 3)))


@pytest.mark.parametrize('height, width', [(480, 640), (427, 640), (640, 361), (333, 500)])
def test_fast_letterbox_is_within_a_pixel_of_letterbox(height, width):
    slow, fast = (letterbox(448)(_sample(height, width))['warp_matrix'] for letterbox in (Letterbox, FastLetterbox))
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    assert np.abs(corners @ slow.T - corners @ fast.T).max() < 1


def test_letterbox_keys():
    results = Letterbox(100)(_sample(50, 200))
    assert np.array_equal(results['warp_matrix'], [[0.5, 0, 0], [0, 0.5, 37.5]])
    assert results['scale_factor'] == (0.5, 0.5)
    assert results['img_padding_size'] == (0, 0, 37, 37)
    assert results['img_shape'] == (100, 100)
    assert results['ori_shape'] == (50, 200)
    assert results['img'].shape == (100, 100, 3)
    assert results['gt_seg_map'].dtype == np.uint8


def test_letterbox_border_is_clips_mean_for_image_and_0_for_mask():
    results = Letterbox(100)(_sample(50, 200, gt_seg_map=np.ones((50, 200), np.uint8)))
    assert np.abs(results['img'][:36] - _CLIP_MEAN).max() <= 0.5
    assert np.abs(results['img'][64:] - _CLIP_MEAN).max() <= 0.5
    assert not results['gt_seg_map'][:37].any()
    assert results['gt_seg_map'][38:62].all()


def test_letterbox_of_a_fitting_square_touches_nothing():
    sample = _sample(64, 64)
    results = Letterbox(64)(dict(sample))
    assert results['img'] is sample['img']
    assert results['gt_seg_map'] is sample['gt_seg_map']
    assert np.array_equal(results['warp_matrix'], np.eye(3)[:2])
    assert results['img_padding_size'] == (0, 0, 0, 0)


def test_letterbox_without_mask():
    sample = _sample(30, 40)
    del sample['seg_fields'], sample['gt_seg_map']
    assert 'gt_seg_map' not in Letterbox(48)(sample)


@pytest.mark.parametrize('transform', [Letterbox(64), FastLetterbox(64), Stretch(64)])
@pytest.mark.parametrize('height, width', [(120, 90), (45, 160), (64, 64)])
def test_warp_matrix_says_where_a_thing_went(transform, height, width):
    """The centre of a bright blob lands where the matrix sends its centre."""
    y, x = np.mgrid[:height, :width]
    place = np.array([width * 0.4, height * 0.6])
    blob = 255 * np.exp(-((x - place[0])**2 + (y - place[1])**2) / (2 * 6**2))
    results = transform({'img': np.repeat(blob[..., None], 3, axis=2).astype(np.uint8)})
    seen = results['img'][..., 0].astype(float)
    seen[seen > 250] = 250
    weight = np.where(seen > 130, seen - 130, 0)
    y, x = np.mgrid[:64, :64]
    centre = [(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()]
    assert np.allclose(centre, results['warp_matrix'] @ [*place, 1], atol=0.15)


@pytest.mark.parametrize('height, width', [(480, 640), (333, 500), (37, 91)])
def test_mask_survives_the_round_trip(height, width):
    sample = _sample(height, width)
    results = Letterbox(448)(dict(sample))
    back = cv2.warpAffine(results['gt_seg_map'].astype(np.float32), cv2.invertAffineTransform(results['warp_matrix']),
                          (width, height), flags=cv2.INTER_LINEAR) >= 0.5
    union = np.count_nonzero(back | (sample['gt_seg_map'] > 0))
    assert np.count_nonzero(back & (sample['gt_seg_map'] > 0)) / union > 0.95


@pytest.mark.parametrize('height, width', [(1, 2000), (2000, 1), (1, 1)])
@pytest.mark.parametrize('kind', [Letterbox, Stretch])
def test_lines_and_points_of_images(kind, height, width):
    results = kind(448)(_sample(height, width))
    assert results['img'].shape == (448, 448, 3)
    assert results['gt_seg_map'].shape == (448, 448)
    left, right, top, bottom = results['img_padding_size']
    assert left + right < 448
    assert top + bottom < 448
    back = cv2.invertAffineTransform(results['warp_matrix'])
    assert np.isfinite(back).all()
    assert np.allclose(back @ [*(results['warp_matrix'] @ [3, 5, 1]), 1], [3, 5])


def test_mask_of_another_size_than_its_image():
    with pytest.raises(ValueError, match=r'gt_seg_map is \(10, 10\) \(H, W\), but the image a\.jpg is \(30, 40\)'):
        Letterbox(48)(_sample(30, 40, gt_seg_map=np.zeros((10, 10), np.uint8)))


@pytest.mark.parametrize('kind', [Letterbox, Stretch])
def test_size_must_be_positive(kind):
    with pytest.raises(ValueError, match='size must be a positive number'):
        kind(0)


def test_stretch():
    sample = _sample(40, 20)
    results = Stretch(80)(dict(sample))
    assert np.array_equal(results['warp_matrix'], [[4, 0, 1.5], [0, 2, 0.5]])
    assert results['scale_factor'] == (4, 2)
    assert results['img_padding_size'] == (0, 0, 0, 0)
    assert results['img_shape'] == (80, 80)
    assert np.array_equal(results['gt_seg_map'], sample['gt_seg_map'].repeat(2, axis=0).repeat(4, axis=1))
    assert np.abs(results['img'][1::2, 1::4].astype(int) - sample['img']).max() < 40


def test_flip_mirrors_image_mask_and_words():
    sample = _sample(30, 40)
    results = FlipReferring(1.0)(dict(sample))
    assert np.array_equal(results['img'], sample['img'][:, ::-1])
    assert np.array_equal(results['gt_seg_map'], sample['gt_seg_map'][:, ::-1])
    assert results['text'] == 'the right one'
    assert (results['flip'], results['flip_direction']) == (True, 'horizontal')


def test_two_flips_are_none():
    sample = _sample(30, 40)
    results = Compose([FlipReferring(1.0), FlipReferring(1.0)])(dict(sample))
    assert np.array_equal(results['img'], sample['img'])
    assert np.array_equal(results['gt_seg_map'], sample['gt_seg_map'])
    assert results['text'] == sample['text']


def test_no_flip():
    sample = _sample(30, 40)
    results = FlipReferring(0.0)(dict(sample))
    assert results['img'] is sample['img']
    assert results['text'] == sample['text']
    assert (results['flip'], results['flip_direction']) == (False, None)


def test_flip_happens_as_often_as_asked():
    np.random.seed(0)
    assert 150 < sum(FlipReferring(0.2)(_sample(2, 2))['flip'] for _ in range(1000)) < 250


def test_flip_then_letterbox_is_letterbox_then_mirror():
    sample = _sample(48, 96)
    flipped_first = Compose([FlipReferring(1.0), Letterbox(96)])(dict(sample))
    mirrored_last = Letterbox(96)(dict(sample))
    assert np.array_equal(flipped_first['img'][24:72], mirrored_last['img'][24:72, ::-1])
    assert np.array_equal(flipped_first['gt_seg_map'], mirrored_last['gt_seg_map'][:, ::-1])


def test_flip_in_the_wrong_place():
    with pytest.raises(ValueError, match='must stand before Letterbox'):
        Compose([Letterbox(48), FlipReferring()])(_sample(30, 40))
    sample = _sample(30, 40)
    del sample['text']
    with pytest.raises(ValueError, match='SampleSentence must stand before'):
        FlipReferring()(sample)


@pytest.mark.parametrize('prob', [-0.1, 1.5])
def test_prob_must_be_a_chance(prob):
    with pytest.raises(ValueError, match='between 0 and 1'):
        FlipReferring(prob)
