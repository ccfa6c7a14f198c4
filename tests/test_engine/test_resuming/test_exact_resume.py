"""A training that is killed and resumed ends as one that wasn't."""
import multiprocessing
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.distributed import run_distributed
from helpers.toy_runner import ToyDataset, ToyMetric, ToyModel, toy_runner
from mmengine.dist import barrier, get_rank
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from torch import nn

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.datasets.seeding import seeded
from mmrefseg.engine.resuming import exact_resume
from mmrefseg.errors import InputError


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
    """The process dies ahead of an iteration, if one is given."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


# Kills: in an iteration's number, or in the second validation.
CASES = {
    'iterations, half a step': dict(deadly_iteration=5, accumulate=2),
    'iterations, killed in validation, workers that stay':
        dict(deadly_validation=2, num_workers=1, persistent_workers=True),
    'iterations, samples drawn from the generators': dict(deadly_iteration=3, sampler='InfiniteSampler'),
    'iterations, epochs of a sampler, third of a step':
        dict(deadly_iteration=5, sampler='DefaultSampler', batch_size=8, accumulate=3),
    'epochs, half a step, workers that stay':
        dict(deadly_iteration=4, by_epoch=True, sampler='SeededSampler', num_workers=1, persistent_workers=True,
             batch_size=5, drop_last=True, accumulate=2),
    'epochs, killed in validation, samples drawn from the generators':
        dict(deadly_validation=2, by_epoch=True, sampler='DefaultSampler'),
    'within epochs':
        dict(deadly_iteration=6, by_epoch=True, save_by_epoch=False, sampler='SeededSampler', accumulate=2),
}


def build(folder, seed, by_epoch=False, save_by_epoch=None, sampler='SeededInfiniteSampler', accumulate=1,
          deadly_iteration=None, deadly_validation=None, **kwargs):
    """A runner of two epochs, or of six iterations; mmengine draws the seed."""
    loader = dict(batch_size=4, num_workers=0) | {name: kwargs.pop(name) for name in (
        'batch_size', 'num_workers', 'persistent_workers', 'drop_last') if name in kwargs}
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    train_cfg = dict(by_epoch=True, max_epochs=2) if by_epoch else dict(by_epoch=False, max_iters=6, val_interval=2)
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
        val_evaluator=Evaluator(MeanOutput(deadly_validation)),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1), accumulative_counts=accumulate),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=6, by_epoch=by_epoch)],
        default_hooks=dict(checkpoint=checkpoint),
        custom_hooks=[dict(type='EMAHook', momentum=0.1), DeadlyHook(deadly_iteration)],
        randomness=dict(seed=None),
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
    deadly = {key: value for key, value in CASES[name].items() if key.startswith('deadly')}
    case = {key: value for key, value in CASES[name].items() if key not in deadly}
    train(tmp_path / 'whole', 1, **case)
    die(tmp_path / 'broken', **case, **deadly)
    resumed = train(tmp_path / 'broken', 2, resume=True, **case)
    if 'deadly_validation' in deadly:
        due = 1 if case.get('by_epoch') else 2
        assert resumed.val_evaluator.metrics[0].count == due, 'the one that was killed, and those after it'
    assert last(tmp_path / 'broken') == last(tmp_path / 'whole')
    assert_same(tmp_path / 'broken' / last(tmp_path / 'broken'), tmp_path / 'whole' / last(tmp_path / 'whole'))
    assert sorted(path.name for path in (tmp_path / 'broken').glob('best*')) == sorted(
        path.name for path in (tmp_path / 'whole').glob('best*'))


def test_checkpoint_is_data_and_names_where_it_was_saved(tmp_path):
    train(tmp_path, 1, accumulate=2, by_epoch=True, batch_size=5, drop_last=True, sampler='SeededSampler')
    states = [load_from_local(str(tmp_path / f'epoch_{epoch}.pth'))['exact_resume'] for epoch in (1, 2)]
    assert set(states[0]['gradients'][0]) == {f'linear.{part}' for part in (
        '0.weight', '0.bias', '1.weight', '1.bias', '3.weight', '3.bias')}, 'three iterations, two of them in a step'
    assert states[1]['gradients'] == [{}]
    assert {state['place'] for state in states} <= {'before validation', 'after validation'}
    assert not {'exact_resume'} & load_from_local(str(next(tmp_path.glob('best*')))).keys()


def resumed_iterations(folder, seed=3, **kwargs):
    """Resume the first checkpoint; returns the batches that come."""
    batches = []
    runner = build(folder / 'resumed', seed, load_from=str(folder / 'iter_3.pth'), resume=True, **kwargs)
    runner.model.register_forward_pre_hook(
        lambda model, inputs, named: batches.append(torch.stack(list(named['x']))) if model.training else None,
        with_kwargs=True)
    runner.train()
    return runner, torch.stack(batches)


@pytest.fixture
def edit(tmp_path):
    """A run with a checkpoint of iteration 3, and a function to change it."""
    train(tmp_path, 1)

    def change(function):
        checkpoint = load_from_local(tmp_path / 'iter_3.pth')
        function(checkpoint)
        torch.save(checkpoint, tmp_path / 'iter_3.pth')

    return change


def test_older_checkpoints_give_the_same_samples(tmp_path, edit, monkeypatch):
    _, expected = resumed_iterations(tmp_path)
    edit(lambda checkpoint: checkpoint.pop('exact_resume'))
    said = []
    monkeypatch.setattr('logging.Logger.warning', lambda self, message, *args: said.append(message))
    runner, batches = resumed_iterations(tmp_path, seed=4)
    assert torch.equal(batches, expected)
    assert any('no state of the random generators' in message for message in said)
    assert runner.iter == 6


def test_another_number_of_processes_is_told(tmp_path, edit, monkeypatch):
    _, expected = resumed_iterations(tmp_path)
    edit(lambda checkpoint: [checkpoint['exact_resume'][name].append({}) for name in ('generators', 'gradients')])
    said = []
    monkeypatch.setattr('logging.Logger.warning', lambda self, message, *args: said.append(message))
    _, batches = resumed_iterations(tmp_path, seed=4)
    assert torch.equal(batches, expected)
    assert any('a run of 2 processes, this one has 1' in message for message in said)


@pytest.mark.parametrize(('change', 'message'), [
    (lambda state: state.clear(), 'exact_resume is damaged'),
    (lambda state: state.update(sampler_seed='a'), 'exact_resume is damaged'),
    (lambda state: state.update(generators=[]), 'exact_resume is damaged'),
    (lambda state: state.update(generators=[{}]), 'no state of random generators'),
    (lambda state: state.update(gradients=[{'linear.9': torch.ones(1)}]), 'does not fit the model'),
    (lambda state: state.update(gradients=[{'linear.0.bias': torch.ones(1)}]), 'does not fit the model'),
])
def test_damaged_states_are_refused(tmp_path, edit, change, message):
    edit(lambda checkpoint: change(checkpoint['exact_resume']))
    with pytest.raises(InputError, match=message):
        resumed_iterations(tmp_path, accumulate=2)


class SpoilLastProcess(Hook):
    """Makes a gradient NaN there, in the middle of a step."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if get_rank() == 1:
            runner.model.module.linear[0].bias.grad.fill_(float('nan'))


def train_on_this_rank(folder):
    folder = Path(folder)
    os.environ['LOCAL_RANK'] = str(get_rank())
    settings = dict(launcher='pytorch', accumulate=2, cfg=dict(
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None)))
    train(folder / 'whole', 1, **settings)
    train(folder / 'resumed', 2 + get_rank(), load_from=str(folder / 'whole/iter_3.pth'), resume=True, **settings)
    barrier()
    assert_same(folder / 'resumed/iter_6.pth', folder / 'whole/iter_6.pth')
    states = load_from_local(str(folder / 'whole/iter_3.pth'))['exact_resume']
    assert not torch.equal(*(gradients['linear.0.weight'] for gradients in states['gradients']))
    runner = build(folder / 'spoilt', 1, **settings)
    runner.register_hook(SpoilLastProcess())
    with pytest.raises(InputError, match=r'^the gradient of linear\.0\.bias holds NaN'):
        runner.train()
    assert not list((folder / 'spoilt').glob('*.pth'))


def test_every_process_has_a_state_of_its_own(tmp_path):
    run_distributed(train_on_this_rank, tmp_path, str(tmp_path))


@pytest.mark.parametrize('skip', [
    lambda batches: batches.skip_iter(3), lambda batches: [next(batches) for _ in range(3)]],
                         ids=['OneDL', 'OpenMMLab'])
def test_skipped_batches_leave_no_trace(skip):
    """Both lines of mmengine have a way of their own to ask for it."""
    torch.manual_seed(0)
    unskipped = torch.rand(1)
    torch.manual_seed(0)
    batches = exact_resume._Batches((number + torch.rand(1) for number in range(5)), 3)
    skip(batches)
    assert next(batches) == 3 + unskipped and 4 < next(batches) < 5
    assert list(batches) == []
