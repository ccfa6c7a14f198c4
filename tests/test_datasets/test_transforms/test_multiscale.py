import numpy as np
import pytest

from mmrefseg.datasets import Letterbox, RandomLetterbox


def _sample() -> dict:
    return {'img': np.full((40, 80, 3), 255, np.uint8), 'gt_seg_map': np.ones((40, 80), np.uint8),
            'seg_fields': ['gt_seg_map']}


def test_sizes_are_between_the_bounds():
    np.random.seed(0)
    scales = []
    for _ in range(200):
        results = RandomLetterbox(120, (0.5, 1.0))(_sample())
        assert results['img'].shape == (120, 120, 3) and results['img_shape'] == (120, 120)
        scales.append(results['scale_factor'][0] / 1.5)
        assert abs(results['gt_seg_map'].mean() - scales[-1]**2 / 2) < 0.02
    assert 0.5 <= min(scales) < 0.51 and 0.99 < max(scales) <= 1


def test_half_the_size_in_the_middle():
    results = RandomLetterbox(80, (0.5, 0.5))(_sample())
    assert np.array_equal(results['warp_matrix'], [[0.5, 0, 20], [0, 0.5, 30]])
    assert results['img_padding_size'] == (20, 20, 30, 30)
    assert results['gt_seg_map'][30:50, 20:60].all() and results['gt_seg_map'].sum() == 800


def test_image_of_the_squares_size_is_scaled_too():
    sample = {'img': np.full((80, 80, 3), 255, np.uint8)}
    assert (RandomLetterbox(80, (0.5, 0.5))(sample)['img'] < 255).any(axis=2).mean() > 0.7


def test_full_size_is_the_letterbox():
    ours, plain = RandomLetterbox(56, (1, 1))(_sample()), Letterbox(56)(_sample())
    assert np.array_equal(ours['warp_matrix'], plain['warp_matrix'])
    assert np.array_equal(ours['img'], plain['img'])


@pytest.mark.parametrize('scale', [(0, 1), (0.8, 0.5), (0.8, 1.2)])
def test_impossible_scales(scale):
    with pytest.raises(ValueError, match='scale must be two ascending numbers above 0 and up to 1'):
        RandomLetterbox(56, scale)
