"""A training that is killed and resumed ends as one that wasn't."""
import multiprocessing
import os
import random
import signal

import numpy as np
import pytest
import torch
from helpers.distributed import run_distributed
from helpers.toy_runner import ToyDataset, ToyMetric, ToyModel, toy_runner
from mmengine.dist import get_rank
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from torch import nn

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.datasets.seeding import seeded
from mmrefseg.utils.random_state import get_state, set_state


class NoisyModel(ToyModel):
    """Draws from every generator while it trains."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))

    def forward(self, x, mode='tensor'):
        x = torch.stack(list(x))
        if mode == 'loss':
            x = x + torch.randn_like(x) + random.random() + np.random.randn()
            return {'loss': (self.linear(x) - 1).square().mean()}
        return list(self.linear(x))


class NoisyDataset(ToyDataset):
    """Augments by every generator; with a sampler of ours, by the sample's seed."""

    def __getitem__(self, index):
        with seeded(index):
            noise = torch.tensor([random.random(), np.random.rand()]) + torch.rand(2)
        return {'x': super().__getitem__(index)['x'] + noise}


class MeanOutput(ToyMetric):
    """The mean output as mIoU; the process dies instead in validation number ``deadly``."""

    def __init__(self, deadly=None):
        super().__init__(())
        self.deadly, self.count = deadly, 0

    def process(self, data_batch, data_samples):
        self.results += [float(sample) for sample in data_samples]

    def compute_metrics(self, results):
        self.count += 1
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return {'mIoU': sum(results) / len(results)}


class DeadlyHook(Hook):
    """The process dies ahead of an iteration."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


CASES = {
    'iterations': dict(),
    'iterations, workers, half a step': dict(num_workers=2, accumulate=2),
    'iterations, samples drawn from the generators': dict(sampler='InfiniteSampler'),
    'iterations, epochs of a sampler, third of a step': dict(sampler='DefaultSampler', accumulate=3),
    'epochs': dict(by_epoch=True, sampler='SeededSampler'),
    'epochs, workers, half a step': dict(by_epoch=True, sampler='SeededSampler', num_workers=2, persistent_workers=True,
                                         batch_size=5, drop_last=True, accumulate=2),
    'epochs, samples drawn from the generators': dict(by_epoch=True, sampler='DefaultSampler'),
    'epochs, worker processes of their own': dict(by_epoch=True, sampler='DefaultSampler', num_workers=2),
    'within epochs': dict(by_epoch=True, save_by_epoch=False, sampler='SeededSampler', accumulate=2),
}


def build(folder, seed, by_epoch=False, save_by_epoch=None, sampler='SeededInfiniteSampler', accumulate=1,
          metric=None, hooks=(), randomness=None, rounds=None, **kwargs):
    """A runner of three epochs, or of nine iterations; unless ``randomness`` is given, mmengine draws the seed."""
    loader = dict(batch_size=4, num_workers=0) | {name: kwargs.pop(name) for name in (
        'batch_size', 'num_workers', 'persistent_workers', 'drop_last') if name in kwargs}
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    train_cfg = dict(by_epoch=by_epoch, max_epochs=rounds or 3) if by_epoch else dict(
        by_epoch=False, max_iters=rounds or 9, val_interval=3)
    save_by_epoch = by_epoch if save_by_epoch is None else save_by_epoch
    checkpoint = dict(type='AtomicCheckpointHook', interval=1, by_epoch=save_by_epoch, save_best='mIoU', rule='less')
    return toy_runner(
        folder,
        model=NoisyModel(),
        train_cfg=train_cfg,
        train_dataloader=dict(loader, dataset=NoisyDataset(), sampler=dict(type=sampler, shuffle=True)),
        val_dataloader=dict(loader, batch_size=8, dataset=ToyDataset(),
                            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_cfg={},
        val_evaluator=Evaluator(metric or MeanOutput()),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1), accumulative_counts=accumulate),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=9, by_epoch=by_epoch)],
        default_hooks=dict(checkpoint=checkpoint),
        custom_hooks=[dict(type='EMAHook', momentum=0.1), *hooks],
        randomness=randomness or dict(seed=None),
        **kwargs)


def train(folder, seed, **kwargs):
    runner = build(folder, seed, **kwargs)
    runner.train()
    return runner


def die(folder, **kwargs):
    """Train in a process that gets SIGKILL."""
    process = multiprocessing.get_context('fork').Process(target=train, args=(folder, 1), kwargs=kwargs)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def last(folder):
    return (folder / 'last_checkpoint').read_text().rpartition('/')[2]


def flat(value, name=''):
    """Name → leaf of nested dicts and sequences."""
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return {name: value}
    return {key: leaf for part, content in parts for key, leaf in flat(content, f'{name}.{part}').items()}


def assert_same(first, second):
    """Two checkpoints hold the same state, bit for bit."""
    first, second = (load_from_local(str(path)) for path in (first, second))
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'exact_resume'):
        ours, theirs = flat(first[part]), flat(second[part])
        assert ours.keys() == theirs.keys(), part
        wrong = [name for name, value in ours.items() if not (
            torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name])]
        assert not wrong, part
    ours, theirs = (checkpoint['message_hub']['runtime_info']['best_score'] for checkpoint in (first, second))
    assert ours == theirs
    assert first['meta']['seed'] == second['meta']['seed']


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    monkeypatch.setattr('mmrefseg.utils.files.os.fsync', lambda descriptor: None)


@pytest.mark.parametrize('name', CASES)
def test_killed_training_goes_on_as_if_it_had_not_been(tmp_path, name):
    case = CASES[name]
    train(tmp_path / 'whole', 1, **case)
    die(tmp_path / 'broken', hooks=[DeadlyHook(5)], **case)
    train(tmp_path / 'broken', 2, resume=True, **case)
    assert last(tmp_path / 'broken') == last(tmp_path / 'whole')
    assert_same(tmp_path / 'broken' / last(tmp_path / 'broken'), tmp_path / 'whole' / last(tmp_path / 'whole'))
