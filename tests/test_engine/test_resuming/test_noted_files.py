"""Which files a run that resumes reads, and which it removes."""
import os
import shutil
from pathlib import Path

import pytest
import torch
from helpers.toy_runner import toy_runner

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.engine.resuming.noted_files import keep_own_notes
from mmrefseg.errors import InputError, MissingInputError


def hooks(**kwargs):
    return dict(checkpoint=dict(type='AtomicCheckpointHook', interval=2, by_epoch=False, save_best='mIoU',
                                max_keep_ckpts=2, **kwargs))


def go_on(folder, scores=(50.0, 70.0), **kwargs):
    """Validate what was saved ahead of it, and train until iteration 6, with a better score than before."""
    train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=2)
    settings = dict(default_hooks=hooks(), resume=True, train_cfg=train_cfg, log_level='INFO')
    runner = toy_runner(folder, scores, **{**settings, **kwargs})
    runner.train()
    return runner


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob('*.pth')}


def log(folder):
    return ''.join(path.read_text() for path in sorted(folder.rglob('*.log')))


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp('finished')
    schedule = dict(type='MultiStepLR', milestones=[3], by_epoch=False)
    toy_runner(folder, [60.0, 50.0], default_hooks=hooks(), param_scheduler=schedule).train()
    return folder


@pytest.fixture
def run(finished, tmp_path):
    """A run of four iterations whose best checkpoint is the one of iteration 2."""
    folder = tmp_path / 'a'
    # It was trained elsewhere, as any folder that was copied was.
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns('*_*_*'))
    shutil.copy(finished / 'best_mIoU_iter_2.pth', folder)
    assert content(folder).keys() == {'iter_2.pth', 'iter_4.pth', 'best_mIoU_iter_2.pth'}
    return folder


def craft(path, change):
    checkpoint = load_from_local(path)
    change(checkpoint)
    torch.save(checkpoint, path)


def test_a_copied_or_moved_folder_goes_on_by_itself(run, finished):
    before = content(finished)
    runner = go_on(run)
    assert runner.iter == 6
    assert content(run).keys() == {'iter_4.pth', 'iter_6.pth', 'best_mIoU_iter_6.pth'}
    assert content(finished) == before
    assert f'Training goes on from {run}/iter_4.pth' in log(run)


def test_another_folders_checkpoint(run, tmp_path):
    before = content(run)
    new = tmp_path / 'new'
    new.mkdir()
    (new / 'iter_2.pth').write_text('not of that run')
    go_on(new, load_from=str(run / 'iter_4.pth'))
    assert content(run) == before
    assert content(new).keys() == {'iter_2.pth', 'iter_6.pth', 'best_mIoU_iter_6.pth'}
    assert f'Training goes on from {run}/iter_4.pth' in log(new)
    assert 'best_mIoU_iter_2.pth, which is none of' in log(new)


def test_without_a_checkpoint_a_run_starts_from_the_weights_of_its_config(run, tmp_path):
    """It was stopped ahead of its first one; else a fine-tuning would go on from random weights."""
    weights = load_from_local(str(run / 'iter_4.pth'))['state_dict']
    train_cfg = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=7)
    runner = toy_runner(tmp_path / 'new', resume=True, train_cfg=train_cfg, log_level='INFO',
                        cfg=dict(start_from=str(run / 'iter_4.pth')), optim_wrapper=dict(
                            optimizer=dict(type='SGD', lr=0.0)))
    runner.train()
    assert runner.iter == 6, 'of a new training'
    torch.testing.assert_close(dict(runner.model.state_dict()), dict(weights))
    assert f'training starts at the beginning, from {run}/iter_4.pth' in log(tmp_path / 'new')


def test_another_folder_for_checkpoints(run, tmp_path):
    (tmp_path / 'out').mkdir()
    work = tmp_path / 'work/a'
    work.mkdir(parents=True)
    (run / 'last_checkpoint').rename(work / 'last_checkpoint')
    run.rename(tmp_path / 'out/a')
    go_on(work, default_hooks=hooks(out_dir=str(tmp_path / 'out')))
    assert content(tmp_path / 'out/a').keys() == {'iter_4.pth', 'iter_6.pth', 'best_mIoU_iter_6.pth'}


def test_notes_made_to_do_damage(run, tmp_path):
    """All that a run may be made to remove, by each of the notes that it would remove a file for."""
    victim = tmp_path / 'best_mIoU_iter_1.pth'
    victim.touch()
    (tmp_path / 'iter_1.pth').touch()

    def change(checkpoint):
        info = checkpoint['message_hub']['runtime_info']
        info.update(best_ckpt=str(victim), last_ckpt=str(victim),
                    keep_ckpt_ids=['x/../../iter_1', f'1.pth/../../{victim.name}', 1.5, True, -1, 10**500, [], 4])

    craft(run / 'iter_4.pth', change)
    go_on(run)
    assert victim.exists() and (tmp_path / 'iter_1.pth').exists()
    assert content(run).keys() == {'iter_2.pth', 'iter_4.pth', 'iter_6.pth', 'best_mIoU_iter_2.pth',
                                   'best_mIoU_iter_6.pth'}


def test_a_link_is_not_removed(run, tmp_path):
    target = tmp_path / 'kept.pth'
    (run / 'best_mIoU_iter_2.pth').rename(target)
    (run / 'best_mIoU_iter_2.pth').symlink_to(target)
    (run / 'iter_2.pth').unlink()
    (run / 'iter_2.pth').symlink_to(target)
    go_on(run)
    assert target.exists() and (run / 'best_mIoU_iter_2.pth').is_symlink() and (run / 'iter_2.pth').is_symlink()


def test_a_best_checkpoint_that_is_gone_stops_nothing(run):
    (run / 'best_mIoU_iter_2.pth').unlink()
    go_on(run)
    assert (run / 'best_mIoU_iter_6.pth').exists()


@pytest.mark.parametrize('key', ['best_ckpt', 'best_ckpt_mIoU'])
@pytest.mark.parametrize('note', ['best_mIoU_iter_2.pth', '/x/best_mIoU_iter_2.pth', '../best_val_mIoU_iter_3.pth'])
def test_notes_of_best_checkpoints_are_names(tmp_path, key, note):
    path = tmp_path / os.path.basename(note)
    path.touch()
    hub = dict(runtime_info={key: note}, resumed_keys={key: True})
    assert keep_own_notes(hub, tmp_path, 'iter_{}.pth', 4, is_own=True) == []
    assert hub == dict(runtime_info={key: str(path)}, resumed_keys={key: True})
    assert keep_own_notes(hub, tmp_path, 'iter_{}.pth', 4, is_own=False) == [str(path)]
    assert hub == dict(runtime_info={}, resumed_keys={})


@pytest.mark.parametrize('key', ['best_ckpt', 'best_ckpt_mIoU'])
@pytest.mark.parametrize('note', [
    'iter_4.pth', 'config.py', 'best.txt', 'best_mIoU_iter_4.pth', '', '.', '..', '/', '\0', None, 7, b'iter_4.pth',
    ['iter_4.pth'], {}, torch.ones(3)])
def test_notes_of_best_checkpoints_that_are_none(tmp_path, key, note):
    for name in ('iter_4.pth', 'config.py', 'best.txt'):
        (tmp_path / name).touch()
    (tmp_path / 'best_mIoU_iter_4.pth').symlink_to(tmp_path / 'iter_4.pth')
    hub = dict(runtime_info={key: note}, resumed_keys={})
    keep_own_notes(hub, tmp_path, 'iter_{}.pth', 4, is_own=True)
    assert hub == dict(runtime_info={}, resumed_keys={})


@pytest.mark.parametrize(('note', 'kept'), [
    ([2, 4], [2, 4]), ((2, 4), [2, 4]), ([5, -1, 4], [4]), ([True, 1.0, '2', None, torch.ones(1)], []), ('24', []),
    (7, []), (None, [])])
def test_notes_of_saved_steps(tmp_path, note, kept):
    hub = dict(runtime_info=dict(keep_ckpt_ids=note), resumed_keys={})
    keep_own_notes(hub, tmp_path, 'iter_{}.pth', 4, is_own=True)
    assert hub['runtime_info'] == dict(keep_ckpt_ids=kept)


@pytest.mark.parametrize(('score', 'is_kept'), [
    (60.0, True), (60, True), (torch.tensor(60.0), True), (float('nan'), False), ('60', False), (None, False),
    ([60.0], False), (torch.ones(2), False)])
def test_notes_of_best_scores(tmp_path, score, is_kept):
    hub = dict(runtime_info=dict(best_score=score), resumed_keys={})
    keep_own_notes(hub, tmp_path, 'iter_{}.pth', 4, is_own=True)
    assert hub['runtime_info'] == (dict(best_score=score) if is_kept else {})


@pytest.mark.parametrize('note', [None, b'', b'\xff\xfe'])
def test_a_run_without_its_note_is_not_started_over(run, note):
    (run / 'last_checkpoint').unlink()
    if note is not None:
        (run / 'last_checkpoint').write_bytes(note)
    go_on(run)
    assert 'resumed epoch: 0, iter: 4' in log(run)
    assert 'the latest whole checkpoint is taken instead' in log(run)


def test_the_one_before_a_checkpoint_that_is_cut_off(run):
    path = run / 'iter_4.pth'
    path.write_bytes(path.read_bytes()[:-100])
    go_on(run, [60.0, 70.0])
    assert f'{path} is truncated' in log(run)
    assert 'resumed epoch: 0, iter: 2' in log(run)
    assert load_from_local(path)['meta']['iter'] == 4


@pytest.mark.parametrize('spoil', [
    lambda checkpoint: checkpoint['state_dict']['linear.weight'].fill_(float('nan')),
    lambda checkpoint: checkpoint['optimizer']['state'][0]['exp_avg'].fill_(float('inf')),
])
def test_the_one_before_a_checkpoint_that_is_not_finite(run, spoil):
    path, loading = run / 'iter_4.pth', [dict(type='LoadCheckpointHook')]
    craft(path, spoil)
    with pytest.raises(InputError, match=r'iter_4\.pth cannot be .*(NaN|finite)'):
        go_on(run, load_from=str(path), custom_hooks=loading)
    go_on(run, [60.0, 70.0], custom_hooks=loading)
    assert f'{path} holds NaN or infinity in ' in log(run)
    assert 'resumed epoch: 0, iter: 2' in log(run)
    assert load_from_local(path)['state_dict']['linear.weight'].isfinite().all()


def test_a_checkpoint_that_was_named_is_not_replaced_by_another(run):
    path = run / 'iter_4.pth'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match='truncated'):
        go_on(run, load_from=str(path))


def test_nothing_to_resume(tmp_path):
    go_on(tmp_path, [1.0, 2.0, 3.0])
    assert 'there is no checkpoint' in log(tmp_path) and 'starts at the beginning' in log(tmp_path)
    assert load_from_local(tmp_path / 'iter_6.pth')['meta']['iter'] == 6


def test_checkpoints_that_are_gone(run):
    for path in run.glob('*.pth'):
        path.unlink()
    with pytest.raises(MissingInputError, match='no checkpoint to go on from'):
        go_on(run)


def drop(*keys):
    return lambda checkpoint: [checkpoint.pop(key) for key in keys]


@pytest.mark.parametrize(('change', 'lacking'), [
    (drop('optimizer', 'message_hub', 'param_schedulers'), 'message_hub, optimizer'),
    (drop('optimizer'), 'optimizer'),
    (drop('meta'), 'meta'),
    (lambda checkpoint: checkpoint.update(message_hub=[1]), 'its message_hub or its meta is none of a training'),
    (lambda checkpoint: checkpoint.update(message_hub=dict(runtime_info={})), 'its message_hub or its meta is none'),
    (lambda checkpoint: checkpoint['meta'].update(iter='4'), 'its message_hub or its meta is none of a training'),
    (lambda checkpoint: checkpoint['meta'].pop('epoch'), 'its message_hub or its meta is none of a training'),
])
def test_weights_alone_are_no_training(run, change, lacking):
    path = run / 'iter_4.pth'
    craft(path, change)
    with pytest.raises(InputError, match=rf'iter_4\.pth cannot be resumed: .*{lacking}'):
        go_on(run, load_from=str(path))


def test_a_best_checkpoint_has_no_optimizer(run):
    path = run / 'best_mIoU_iter_2.pth'
    with pytest.raises(InputError, match=r'lacks optimizer, as best .* Resume one that was saved as iter_N.pth'):
        go_on(run, load_from=str(path))


def test_the_schedule_is_resumed_or_the_run_refused(run):
    schedule = dict(type='MultiStepLR', milestones=[3], by_epoch=False)
    path = run / 'iter_4.pth'
    craft(path, drop('param_schedulers'))
    with pytest.raises(InputError, match='lacks param_schedulers'):
        go_on(run, load_from=str(path), param_scheduler=schedule)


def test_a_run_that_saves_no_optimizer_resumes_without(run):
    path = run / 'iter_4.pth'
    craft(path, drop('optimizer'))
    assert go_on(run, load_from=str(path), default_hooks=hooks(save_optimizer=False)).iter == 6
    assert Path(run / 'iter_6.pth').exists()


@pytest.mark.parametrize(('change', 'message'), [
    (lambda checkpoint: checkpoint['meta'].update(iter=1 << 62), f'came to {1 << 62}.*max_iters = 6'),
    (lambda checkpoint: checkpoint['meta'].update(iter=7), 'came to 7.*max_iters = 6'),
    (lambda checkpoint: checkpoint['meta'].update(iter=-1), 'none of a training|not the state of a training'),
    (lambda checkpoint: checkpoint['meta'].update(seed={}), 'none of a training'),
    (lambda checkpoint: checkpoint['meta'].update(seed=-1), 'none of a training'),
    (lambda checkpoint: checkpoint['message_hub']['resumed_keys'].update(epoch='x'), 'none of a training'),
    (lambda checkpoint: checkpoint['message_hub']['log_scalars'].update(loss=1.0), 'none of a training'),
])
def test_a_state_that_is_none_is_refused_at_once(run, change, message):
    craft(run / 'iter_4.pth', change)
    with pytest.raises(InputError, match=message):
        go_on(run)
