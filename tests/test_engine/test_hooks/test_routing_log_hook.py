import json
import logging
from types import SimpleNamespace

import pytest
import torch
from helpers.distributed import run_distributed
from helpers.toy_runner import ToyModel, toy_runner
from mmengine.dist import get_rank

from mmrefseg.engine import RoutingLogHook
from mmrefseg.models.layers import StepLog


class RoutedModel(ToyModel):
    """Gives the routing of its n-th step as the segmentor does: weights n/10 and 1 - n/10 of two experts."""

    def __init__(self):
        super().__init__()
        self.step = 0

    def train_step(self, data, optim_wrapper):
        self.step += 1
        weight = self.step / 10
        routing = {
            'neck.0': dict(edge=torch.tensor([weight, 1.0, 1.0]), shape=torch.tensor([1 - weight, 0.5, 0.0])),
            'adapter': dict(only=torch.tensor([1.0, 1.0, self.step])),
        }
        return StepLog(super().train_step(data, optim_wrapper), routing)


def scalars(folder):
    path, = folder.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if any(key.startswith('routing/') for key in row)]


def run(folder, interval, model=None, **kwargs):
    hooks = [dict(type='RoutingLogHook', interval=interval)]
    visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    runner = toy_runner(
        folder, model=model or RoutedModel(), custom_hooks=hooks, visualizer=visualizer, log_level='INFO',
        default_hooks=dict(checkpoint=None), **kwargs)
    runner.train()
    return runner


def test_averages(tmp_path):
    run(tmp_path, interval=2)
    first, second = scalars(tmp_path)
    assert first == pytest.approx({
        'routing/neck.0/edge/weight': 0.15, 'routing/neck.0/shape/weight': 0.85,
        'routing/neck.0/edge/chosen': 1.0, 'routing/neck.0/shape/chosen': 0.5,
        'routing/neck.0/edge/first': 1.0, 'routing/neck.0/shape/first': 0.0,
        'routing/adapter/only/weight': 1.0, 'routing/adapter/only/chosen': 1.0, 'routing/adapter/only/first': 1.5,
        'step': 2})
    assert second['routing/neck.0/edge/weight'] == pytest.approx(0.35)
    assert second['step'] == 4
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'routing neck.0: edge 0.35 (chosen 100%, first 100%), shape 0.65 (chosen 50%, first 0%)' in log
    assert log.count('routing adapter:') == 1  # at the end
    assert log.index('routing adapter:') > log.rindex('(train)')


def test_what_is_left_at_the_end(tmp_path):
    """Four iterations, an entry after the third: the last one stands for itself, in the log too."""
    run(tmp_path, interval=3)
    assert [(row['step'], round(row['routing/neck.0/edge/weight'], 3)) for row in scalars(tmp_path)] == [
        (3, 0.2), (4, 0.4)]
    assert 'routing neck.0: edge 0.40 ' in next(tmp_path.glob('*/*.log')).read_text()


@pytest.mark.parametrize(('interval', 'steps'), [(3, [3, 7, 8]), (4, [4, 8]), (50, [4, 8])])
def test_epochs(tmp_path, interval, steps):
    """Two epochs of four iterations; an epoch shorter than the interval is logged at its end, as LoggerHook does."""
    run(tmp_path, interval, by_epoch=True)
    rows = scalars(tmp_path)
    assert [row['step'] for row in rows] == steps
    begin = 1
    for row, step in zip(rows, steps, strict=True):
        values = range(begin, step + 1)
        assert row['routing/neck.0/edge/weight'] == pytest.approx(sum(values) / len(values) / 10)
        begin = step + 1


def test_models_without_routers(tmp_path):
    run(tmp_path, interval=1, model=ToyModel())
    assert scalars(tmp_path) == []


def test_interval_must_be_positive():
    with pytest.raises(ValueError, match='interval of RoutingLogHook is 0.* a whole number from 1'):
        RoutingLogHook(interval=0)


class Scalars:
    """Stands for a visualizer; keeps what it was given."""

    def add_scalars(self, scalars, step):
        self.given = scalars


def log_on_this_rank():
    runner = SimpleNamespace(
        iter=0, train_dataloader=[None] * 4, visualizer=Scalars(), logger=logging.getLogger('routing'))
    share = 0.0 if get_rank() else 1.0
    weight = 0.2 if get_rank() else 0.6
    experts = dict(edge=torch.tensor([weight, 1.0, share]), shape=torch.tensor([1 - weight, 1 - share, 1 - share]))
    RoutingLogHook(interval=1).after_train_iter(runner, batch_idx=0, outputs=StepLog({}, {'neck': experts}))
    assert runner.visualizer.given == pytest.approx({
        'routing/neck/edge/weight': 0.4, 'routing/neck/shape/weight': 0.6,
        'routing/neck/edge/chosen': 1.0, 'routing/neck/shape/chosen': 0.5,
        'routing/neck/edge/first': 0.5, 'routing/neck/shape/first': 0.5})


def test_two_processes(tmp_path):
    run_distributed(log_on_this_rank, tmp_path)
