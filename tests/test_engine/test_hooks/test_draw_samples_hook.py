"""Which samples are drawn, when, and by what."""
from types import SimpleNamespace

import cv2
import pytest
import torch
from helpers.refcoco_files import tiny_refcoco, write_refcoco
from mmengine.dataset import pseudo_collate
from mmengine.hooks import EMAHook
from mmengine.runner import get_priority
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer
from torch import nn

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.engine.hooks import DrawSamplesHook
from mmrefseg.engine.sample_inference import spread_indices
from mmrefseg.errors import InputError
from mmrefseg.visualization import ReferringVisualizer


@pytest.mark.parametrize(('total', 'number', 'expected'), [
    (10, 3, [0, 4, 9]), (10, 1, [0]), (3, 8, [0, 1, 2]), (1, 1, [0]), (10834, 2, [0, 10833]),
])
def test_places(total, number, expected):
    assert spread_indices(total, number) == expected


class Model(nn.Module):
    """Answers everything, and keeps what it was asked and how."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def test_step(self, data):
        self.asked.append((data['data_samples'][0].text, self.training, torch.is_grad_enabled()))
        for sample in data['data_samples']:
            sample.pred_sem_seg = PixelData(data=torch.ones_like(sample.gt_sem_seg.data))
        return data['data_samples']


class Drawn(ReferringVisualizer):
    """Keeps what it is given."""

    def __init__(self, name):
        super().__init__(name)
        self.drawn = []

    def add_datasample(self, name, image, data_sample=None, *args, step=0, **kwargs):
        self.drawn.append((name, step, data_sample.text, image))


@pytest.fixture
def runner(tmp_path):
    pipeline = [dict(type='LoadReferringImage'), dict(type='Letterbox', size=64), dict(type='LoadReferringMask'),
                dict(type='PackRefSegInputs')]
    dataset = RefCOCODataset(str(write_refcoco(tmp_path, tiny_refcoco())), pipeline=pipeline)
    loader = SimpleNamespace(dataset=dataset, collate_fn=pseudo_collate)
    return SimpleNamespace(val_dataloader=loader, model=Model().train(), visualizer=Drawn(str(tmp_path)), iter=7)


def test_the_same_samples_after_each_validation(runner, tmp_path):
    hook = DrawSamplesHook(number=2)
    hook.before_run(runner)
    hook.after_val_epoch(runner)
    runner.iter = 14
    hook.after_val_epoch(runner)
    assert [drawn[:3] for drawn in runner.visualizer.drawn] == [
        ('val_0', 7, 'the left cup'), ('val_3', 7, 'corner'), ('val_0', 14, 'the left cup'), ('val_3', 14, 'corner')]
    assert (runner.visualizer.drawn[1][3] == cv2.imread(str(tmp_path / 'images/three.jpg'))[:, :, ::-1]).all()
    assert runner.model.asked[0] == ('the left cup', False, False) and runner.model.training


def test_every_third_validation(runner):
    hook = DrawSamplesHook(number=1, interval=3)
    for runner.iter in range(1, 8):
        hook.after_val_epoch(runner)
    assert [step for _, step, *_ in runner.visualizer.drawn] == [3, 6]


def test_a_visualizer_that_draws_nothing_is_refused(runner):
    runner.visualizer = Visualizer('nothing')
    with pytest.raises(InputError, match="of type Visualizer draws no samples; set visualizer=dict"):
        DrawSamplesHook().before_run(runner)


def test_settings():
    assert get_priority(DrawSamplesHook.priority) < get_priority(EMAHook.priority)
    for setting in (dict(number=0), dict(interval=0)):
        with pytest.raises(InputError):
            DrawSamplesHook(**setting)
