import numpy as np
import pytest

from mmrefseg.datasets import Letterbox, RandomErasing

CLIP_MEAN = np.round(np.array([0.48145466, 0.4578275, 0.40821073]) * 255)


def _sample() -> dict:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 30:50] = 1
    return {'img': np.zeros((60, 80, 3), np.uint8), 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map']}


def _covered(erase: RandomErasing, number: int = 200) -> list[np.ndarray]:
    np.random.seed(0)
    covered = []
    for _ in range(number):
        sample = _sample()
        img, mask = sample['img'], sample['gt_seg_map']
        results = erase(dict(sample))
        assert not img.any() and results['gt_seg_map'] is mask and mask.sum() == 400
        covered.append(results['img'].any(axis=2))
        assert (results['img'][covered[-1]] == CLIP_MEAN).all()
    return covered


def test_one_rectangle_and_little_of_the_referent():
    mask = _sample()['gt_seg_map'] > 0
    covered = [area for area in _covered(RandomErasing(1.0, max_referent=0.25)) if area.any()]
    assert len(covered) > 150
    for area in covered:
        rows, columns = area.any(axis=1), area.any(axis=0)
        assert area.sum() == rows.sum() * columns.sum()
        assert 0.015 < area.mean() < 0.22
        assert (area & mask).sum() <= 100
    assert max((area & mask).sum() for area in covered) > 50
    assert np.any(covered, axis=0)[~mask].mean() > 0.98


def test_referent_may_be_spared_wholly():
    mask = _sample()['gt_seg_map'] > 0
    assert not any((area & mask).any() for area in _covered(RandomErasing(1.0, max_referent=0)))


def test_nothing_where_no_rectangle_fits():
    assert not any(area.any() for area in _covered(RandomErasing(1.0, (1, 1), (1, 1)), 3))


def test_chance_and_default():
    assert not any(area.any() for area in _covered(RandomErasing()))
    assert 20 < sum(area.any() for area in _covered(RandomErasing(0.2))) < 60


def test_order():
    with pytest.raises(ValueError, match='RandomErasing must stand before Letterbox'):
        RandomErasing(1.0)(Letterbox(32)(_sample()))
    with pytest.raises(ValueError, match='LoadReferringMask must stand before'):
        RandomErasing(1.0)({'img': np.zeros((4, 4, 3), np.uint8)})


@pytest.mark.parametrize('kwargs', [dict(prob=1.5), dict(max_referent=-1)])
def test_impossible_shares(kwargs):
    with pytest.raises(ValueError, match='between 0 and 1'):
        RandomErasing(**kwargs)
