"""Checkpoints that hold only what was trained: saved by AtomicCheckpointHook, completed by LoadCheckpointHook."""
import os
import re
from pathlib import Path

import pytest
import torch
from helpers.distributed import run_distributed
from helpers.toy_pretrained import ToyPretrainedModel, save_toy_weights, toy_pretrained_runner
from mmengine.dist import barrier, get_rank, is_main_process
from mmengine.hooks import EMAHook
from mmengine.model import MMDistributedDataParallel

from mmrefseg.checkpoints.reading import load_from_local

TRAINED = {'backbone.linear.bias', 'head.1.weight', 'head.1.bias'}
MOVED = {'backbone.norm.running_mean', 'backbone.norm.running_var', 'backbone.norm.num_batches_tracked'}
FROZEN = {'backbone.linear.weight', 'backbone.norm.weight', 'backbone.norm.bias', 'backbone.scale'}
EMA = [dict(type='EMAHook', momentum=0.5)]


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    return save_toy_weights(tmp_path_factory.mktemp('weights') / 'toy.pth')


@pytest.fixture(scope='module')
def trained(tmp_path_factory, pretrained):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp('trained')
    toy_pretrained_runner(folder, pretrained).train()
    return folder


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def weights(runner):
    return {name: value.clone() for name, value in runner.model.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def loaded(folder, pretrained, checkpoint, **kwargs):
    """A runner that has loaded a checkpoint as tools/test.py does: nothing initialised it before."""
    runner = toy_pretrained_runner(folder, pretrained, load_from=str(checkpoint), **kwargs)
    runner.call_hook('before_run')
    runner.load_or_resume()
    return runner


def test_what_is_saved(trained, pretrained):
    saved = load_from_local(trained / 'iter_4.pth')
    assert saved['state_dict'].keys() == TRAINED | MOVED
    base = saved['meta']['base']
    assert base.keys() == {'backbone'}
    assert set(base['backbone']['names']) == FROZEN
    assert base['backbone']['files'] == [pretrained]
    assert re.fullmatch('[0-9a-f]{64}', base['backbone']['sha256'])
    assert saved['optimizer']['state'].keys() == load_from_local(trained / 'iter_2.pth')['optimizer']['state'].keys()


@pytest.mark.parametrize('hooks', [[], EMA])
def test_the_switch_changes_nothing_but_the_files(tmp_path, pretrained, hooks):
    runners = {}
    for trained_only in (False, True):
        runners[trained_only] = toy_pretrained_runner(
            tmp_path / str(trained_only), pretrained, dropout=0.5, custom_hooks=hooks,
            checkpoint_hook=dict(trained_only=trained_only))
        runners[trained_only].train()
    assert_same(weights(runners[True]), weights(runners[False]))
    full = load_from_local(tmp_path / 'False/iter_4.pth')
    assert full['state_dict'].keys() == TRAINED | MOVED | FROZEN
    assert 'base' not in full['meta']
    delta = load_from_local(tmp_path / 'True/iter_4.pth')
    for key in ('state_dict', 'ema_state_dict')[:1 + len(hooks)]:
        assert_same(delta[key], {name: full[key][name] for name in delta[key]})


@pytest.mark.parametrize('hooks', [[], EMA])
@pytest.mark.parametrize('trained_only', [False, True])
def test_resuming_equals_training_without_a_stop(tmp_path, pretrained, hooks, trained_only):
    whole = toy_pretrained_runner(tmp_path / 'whole', pretrained, custom_hooks=hooks)
    whole.train()
    resumed = toy_pretrained_runner(
        tmp_path / 'resumed', pretrained, custom_hooks=hooks, resume=True,
        load_from=str(tmp_path / 'whole/iter_2.pth'), checkpoint_hook=dict(trained_only=trained_only))
    resumed.train()
    assert_same(weights(resumed), weights(whole))
    ends = [load_from_local(tmp_path / name / 'iter_4.pth') for name in ('whole', 'resumed')]
    for key in ('state_dict', 'ema_state_dict')[:1 + len(hooks)]:
        names = ends[0][key].keys()
        assert (ends[1][key].keys() == names) is trained_only
        assert_same({name: ends[1][key][name] for name in names}, ends[0][key])


@pytest.mark.parametrize('hooks', [[], EMA])
def test_testing_loads_the_pretrained_weights_first(tmp_path, pretrained, hooks):
    whole = toy_pretrained_runner(tmp_path / 'run', pretrained, custom_hooks=hooks)
    whole.train()
    full = loaded(tmp_path / 'test', pretrained, tmp_path / 'run/iter_4.pth', custom_hooks=hooks)
    averaged = [hook.ema_model.module for hook in whole.hooks if isinstance(hook, EMAHook)]
    expected = (averaged or [whole.model])[0].state_dict()
    assert_same(weights(full), dict(expected))


def test_full_checkpoints_need_no_pretrained_file(tmp_path, pretrained):
    full = toy_pretrained_runner(tmp_path / 'run', pretrained, checkpoint_hook=dict(trained_only=False))
    full.train()
    runner = loaded(tmp_path / 'test', 'nowhere.pth', tmp_path / 'run/iter_4.pth')
    assert_same(weights(runner), weights(full))


def test_only_the_newest_and_the_best_are_kept(tmp_path, pretrained):
    settings = dict(interval=1, max_keep_ckpts=2, save_best='mIoU')
    toy_pretrained_runner(tmp_path, pretrained, scores=[60.0, 50.0], checkpoint_hook=settings).train()
    assert names(tmp_path) == ['best_mIoU_iter_2.pth', 'iter_3.pth', 'iter_4.pth']
    for name in names(tmp_path):
        checkpoint = load_from_local(tmp_path / name)
        assert checkpoint['state_dict'].keys() == TRAINED | MOVED
        assert checkpoint['meta']['base'].keys() == {'backbone'}
    runner = toy_pretrained_runner(tmp_path, pretrained, resume=True)
    runner.load_or_resume()
    assert runner.message_hub.get_info('best_score') == 60


@pytest.mark.parametrize('resume', [False, True])
def test_other_pretrained_weights_are_refused(tmp_path, trained, resume):
    other = save_toy_weights(tmp_path / 'other.pth', seed=8)
    expected = load_from_local(trained / 'iter_4.pth')['meta']['base']['backbone']
    runner = toy_pretrained_runner(tmp_path / 'run', other, load_from=str(trained / 'iter_4.pth'), resume=resume)
    with pytest.raises(ValueError, match='belongs on other weights: backbone was trained upon') as caught:
        runner.train()
    found = re.findall('[0-9a-f]{64}', str(caught.value))
    assert found[0] == expected['sha256'] and len(set(found)) == 2
    for words in (f'(from {expected["files"][0]})', f'(from {other})', 'init_cfg.checkpoint', 'merge_checkpoint.py'):
        assert words in str(caught.value)


def test_random_weights_are_refused(tmp_path, trained):
    with pytest.raises(ValueError, match=r'those here have [0-9a-f]{64} \(from no pretrained file\)'):
        loaded(tmp_path, None, trained / 'iter_4.pth')


def test_missing_pretrained_files_are_refused(tmp_path, trained):
    with pytest.raises(FileNotFoundError, match=r'iter_4\.pth holds only what was trained and needs .*nowhere\.pth'):
        loaded(tmp_path, 'nowhere.pth', trained / 'iter_4.pth')


def test_frozen_weights_that_no_file_holds_are_saved(tmp_path, caplog):
    toy_pretrained_runner(tmp_path, None, log_level='INFO').train()
    saved = load_from_local(tmp_path / 'iter_4.pth')
    assert saved['state_dict'].keys() == TRAINED | MOVED | {'backbone.linear.weight', 'backbone.scale'}
    assert set(saved['meta']['base']['backbone']['names']) == {'backbone.norm.weight', 'backbone.norm.bias'}
    runner = loaded(tmp_path / 'test', None, tmp_path / 'iter_4.pth')
    assert torch.equal(runner.model.backbone.linear.weight, saved['state_dict']['backbone.linear.weight'])


def test_frozen_weights_of_another_checkpoint_are_saved(tmp_path, pretrained):
    first = ToyPretrainedModel()
    torch.save(first.state_dict(), tmp_path / 'first.pth')
    runner = toy_pretrained_runner(tmp_path / 'run', pretrained, load_from=str(tmp_path / 'first.pth'))
    runner.train()
    again = loaded(tmp_path / 'test', pretrained, tmp_path / 'run/iter_4.pth')
    assert torch.equal(again.model.backbone.linear.weight, first.backbone.linear.weight)
    assert_same(weights(again), weights(runner))


def test_the_log_says_what_is_left_out(tmp_path, pretrained):
    toy_pretrained_runner(tmp_path / 'a', pretrained, log_level='INFO').train()
    toy_pretrained_runner(tmp_path / 'b', None, log_level='INFO').train()
    logs = [next((tmp_path / run).rglob('*.log')).read_text() for run in 'ab']
    assert 'Checkpoints leave out 0.000 M frozen weights' in logs[0]
    assert 'in spite of trained_only' not in logs[0]
    assert 'hold 0.000 M frozen weights of backbone in spite of trained_only: they are random' in logs[1]


def test_weights_that_trained_for_a_while_are_saved(tmp_path, pretrained):
    """Freezing again does not make weights pretrained."""
    runner = toy_pretrained_runner(tmp_path, pretrained)
    runner.model.backbone.linear.weight.requires_grad_(True)
    refrozen = []

    def save(*args, **kwargs):
        runner.model.backbone.linear.weight.requires_grad_(False)
        refrozen.append(True)
        return type(runner).save_checkpoint(runner, *args, **kwargs)

    runner.save_checkpoint = save
    runner.train()
    assert len(refrozen) == 2
    assert 'backbone.linear.weight' in load_from_local(tmp_path / 'iter_4.pth')['state_dict']
    assert_same(weights(loaded(tmp_path / 'test', pretrained, tmp_path / 'iter_4.pth')), weights(runner))


def test_what_is_needed_is_said_before_training(tmp_path, pretrained):
    hook = dict(type='AtomicCheckpointHook', by_epoch=False, trained_only=True)
    runner = toy_pretrained_runner(tmp_path, pretrained, default_hooks=dict(checkpoint=hook))
    with pytest.raises(ValueError, match="add dict\\(type='mmrefseg.LoadCheckpointHook'\\)"):
        runner.train()
    runner = toy_pretrained_runner(tmp_path, model=ToyPretrainedModel(), cfg={})
    with pytest.raises(ValueError, match=r'Runner\.from_cfg'):
        runner.train()


def train_and_resume(folder, pretrained):
    os.environ['LOCAL_RANK'] = str(get_rank())
    model = dict(type='ToyPretrainedModel', checkpoint=pretrained)
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    settings = dict(cfg=dict(model=model, model_wrapper_cfg=wrapper), launcher='pytorch')
    whole = toy_pretrained_runner(Path(folder, 'whole'), pretrained, **settings)
    whole.train()
    barrier()
    halfway = str(Path(folder, 'whole/iter_2.pth'))
    resumed = toy_pretrained_runner(Path(folder, 'resumed'), pretrained, resume=True, load_from=halfway, **settings)
    resumed.train()
    assert isinstance(whole.model, MMDistributedDataParallel)
    # The statistics of the other process are its own, and not in a checkpoint.
    expected, found = weights(whole), weights(resumed)
    names = {name for name in expected if is_main_process() or 'running' not in name}
    assert_same({name: found[name] for name in names}, {name: expected[name] for name in names})


def test_two_processes(tmp_path, pretrained):
    (tmp_path / 'meet').mkdir()
    run_distributed(train_and_resume, tmp_path / 'meet', str(tmp_path), pretrained)
    for run in ('whole', 'resumed'):
        saved = load_from_local(tmp_path / run / 'iter_4.pth')
        assert saved['state_dict'].keys() == TRAINED | MOVED
        assert saved['meta']['base']['backbone']['files'] == [pretrained]
