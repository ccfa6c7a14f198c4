"""Our transforms and those of other packages in one pipeline."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.skip_without_mmpretrain import skip_without_mmpretrain
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

import mmrefseg
from mmrefseg.datasets import RefCOCODataset
from mmrefseg.datasets.refshapes import make_refshapes

FOLDER = Path(mmrefseg.config_path('sera_dinov2_refcoco')).parents[1] / '_base_/datasets'
LOADING = [dict(type='LoadReferringImage'), dict(type='LoadReferringMask'), dict(type='SampleSentence')]
ENDING = [dict(type='Letterbox', size=64), dict(type='PackRefSegInputs')]


@pytest.fixture(autouse=True)
def scope():
    mmrefseg.register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        yield


@pytest.fixture(scope='module')
def root(tmp_path_factory) -> str:
    root = tmp_path_factory.mktemp('refshapes')
    make_refshapes(root, {'train': 8}, image_size=(120, 90), seed=4)
    return str(root)


@pytest.fixture(scope='module')
def augmented() -> Config:
    return Config.fromfile(FOLDER / 'refcoco_augmented.py')


def _epoch(config: dict, epoch: int = 0, **kwargs) -> list[dict]:
    loader = Runner.build_dataloader({**config, 'drop_last': False, 'persistent_workers': False, **kwargs}, seed=7)
    loader.sampler.set_epoch(epoch)
    return list(loader)


def _equal(one: list[dict], other: list[dict]) -> bool:
    return all(
        torch.equal(a, b) and s.text == t.text and torch.equal(s.gt_sem_seg.data, t.gt_sem_seg.data)
        for x, y in zip(one, other, strict=True)
        for a, b, s, t in zip(x['inputs'], y['inputs'], x['data_samples'], y['data_samples'], strict=True))


def test_augmented_config(root, augmented):
    """Batches stack, hold every referent and are the same from any number of workers; epochs differ."""
    config = augmented.train_dataloader
    config = {**config, 'dataset': {**config.dataset, 'data_root': root, 'data_prefix': dict(img_path='images')}}
    batches = _epoch(config, num_workers=0)
    for batch in batches:
        assert torch.stack(batch['inputs']).shape[1:] == (3, 448, 448)
        for sample in batch['data_samples']:
            assert sample.gt_sem_seg.data.shape == (1, 448, 448) and sample.gt_sem_seg.data.any()
    assert _equal(batches, _epoch(config, num_workers=2))
    assert not _equal(batches, _epoch(config, epoch=1, num_workers=0))


def test_erasing_and_dropping_are_off(augmented):
    chances = {step.type: step.get('prob') for step in augmented.train_pipeline}
    assert chances['RandomErasing'] == chances['DropExpression'] == 0


def test_colours_keep_their_names(augmented):
    """Six pure colours in RGB stay within 3 degrees of hue, whatever is drawn."""
    distort = Compose([step for step in augmented.train_pipeline if 'PhotoMetric' in step.type])
    colours = np.array([[[230, 30, 30], [230, 230, 30], [30, 230, 30], [30, 230, 230], [30, 30, 230], [230, 30, 230]]])
    hues = np.arange(0, 360, 60)
    np.random.seed(0)
    seen = []
    for _ in range(200):
        img = distort({'img': colours.astype(np.uint8)})['img']
        hsv = cv2.cvtColor(np.float32(img) / 255, cv2.COLOR_RGB2HSV)[0]
        assert np.abs((hsv[:, 0] - hues + 180) % 360 - 180).max() <= 3
        assert hsv[:, 1].min() > 0.5 and hsv[:, 2].min() > 0.5
        seen.append(img)
    assert np.std(seen, axis=0).min() > 5


@pytest.mark.parametrize('steps', [
    [dict(type='mmcv.RandomGrayscale', keep_channels=True)],
    [dict(type='mmcv.RandomApply', prob=0.5, transforms=[dict(type='RandomReferentCrop', area=(0.2, 0.5))])],
    [dict(type='mmcv.RandomChoice', transforms=[[dict(type='FlipReferring', prob=1.0)], [dict(type='RandomErasing')]])],
    [dict(type='mmpretrain.ColorJitter', brightness=0.3)],
    [dict(type='Albumentations', transforms=[dict(type='GaussNoise'), dict(type='Affine', scale=0.8, p=0.5)])],
], ids=lambda steps: steps[0]['type'])
def test_transforms_of_others(root, steps):
    if steps[0]['type'] == 'Albumentations':
        pytest.importorskip('albumentations')
    if steps[0]['type'].startswith('mmpretrain.'):
        skip_without_mmpretrain()
    dataset = RefCOCODataset(root, unit='ref', pipeline=[*LOADING, *steps, *ENDING])
    plain = RefCOCODataset(root, unit='ref', pipeline=[*LOADING, *ENDING])
    config = dict(batch_size=4, sampler=dict(type='SeededSampler', shuffle=False))
    batches = _epoch({**config, 'dataset': dataset}, num_workers=0)
    assert _equal(batches, _epoch({**config, 'dataset': dataset}, num_workers=2))
    assert not _equal(batches, _epoch({**config, 'dataset': plain}, num_workers=0))
    assert not _equal(batches, _epoch({**config, 'dataset': dataset}, epoch=1, num_workers=0))
