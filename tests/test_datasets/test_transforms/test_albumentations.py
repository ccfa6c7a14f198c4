import sys

import numpy as np
import pytest

from mmrefseg.datasets import Albumentations
from mmrefseg.datasets.seeding import SampleIndex, seeded


def _sample() -> dict:
    img = np.zeros((30, 40, 3), np.uint8)
    img[:, :20] = 255, 128, 0
    mask = np.zeros((30, 40), np.uint8)
    mask[:10] = 1
    return {'img': img, 'gt_seg_map': mask, 'seg_fields': ['gt_seg_map'], 'text': 'red car'}


def test_missing_albumentations(monkeypatch):
    monkeypatch.setitem(sys.modules, 'albumentations', None)
    with pytest.raises(ImportError, match='Albumentations is missing.*--no-deps'):
        Albumentations([])


def test_image_and_masks_move_together():
    pytest.importorskip('albumentations')
    sample = _sample()
    results = Albumentations([dict(type='Transpose', p=1.0)])(dict(sample))
    assert np.array_equal(results['img'], sample['img'].transpose(1, 0, 2))
    assert np.array_equal(results['gt_seg_map'], sample['gt_seg_map'].T)
    assert results['img_shape'] == (40, 30)
    assert results['text'] == 'red car'


def test_image_comes_as_rgb():
    pytest.importorskip('albumentations')
    grey = Albumentations([dict(type='ToGray', p=1.0)])(_sample())['img'][0, 0]
    assert np.abs(grey.astype(int) - (0.299 * 255 + 0.587 * 128)).max() <= 1


def test_draws_follow_the_seed_of_the_sample_and_not_each_other():
    pytest.importorskip('albumentations')
    noise = Albumentations([dict(type='OneOf', transforms=[dict(type='GaussNoise'), dict(type='ISONoise')], p=1.0)])
    flips = Albumentations([dict(type='HorizontalFlip', p=0.5), dict(type='VerticalFlip', p=0.5)])

    def draw(transform, epoch):
        with seeded(SampleIndex(0, (3, epoch, 0))):
            return transform(_sample())

    assert np.array_equal(draw(noise, 0)['img'], draw(noise, 0)['img'])
    assert not np.array_equal(draw(noise, 0)['img'], draw(noise, 1)['img'])
    ways = {(bool(results['img'][0, 0, 0]), bool(results['gt_seg_map'][0, 0]))
            for results in (draw(flips, epoch) for epoch in range(40))}
    assert len(ways) == 4


def test_unknown_transform():
    pytest.importorskip('albumentations')
    with pytest.raises(ValueError, match="has no transform 'Nonsense'"):
        Albumentations([dict(type='Nonsense')])
