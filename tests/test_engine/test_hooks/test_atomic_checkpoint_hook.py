import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from helpers.toy_runner import toy_runner
from mmengine.fileio import get_file_backend
from mmengine.runner import save_checkpoint

from mmrefseg.checkpoints.reading import load_from_local
from mmrefseg.engine import AtomicLocalBackend
from mmrefseg.utils import files


def hooks(**kwargs):
    return dict(checkpoint=dict(type='AtomicCheckpointHook', interval=1, by_epoch=False, **kwargs))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.suffix == '.pth' or path.name.startswith('.'))


def last_checkpoint(folder):
    return Path((folder / 'last_checkpoint').read_text())


def test_backend(tmp_path):
    backend = get_file_backend(backend_args=dict(backend='atomic_local'))
    assert isinstance(backend, AtomicLocalBackend)
    backend.put(b'a', tmp_path / 'new' / 'a')
    backend.put_text('é', tmp_path / 'b', encoding='latin-1')
    assert (tmp_path / 'new' / 'a').read_bytes() == b'a'
    assert (tmp_path / 'b').read_bytes() == b'\xe9'


@pytest.mark.parametrize('max_keep', [1, 2, -1])
def test_keeps_the_newest(tmp_path, max_keep):
    toy_runner(tmp_path, default_hooks=hooks(max_keep_ckpts=max_keep)).train()
    assert names(tmp_path) == [f'iter_{i}.pth' for i in range(1, 5)][-max(max_keep, 0):]
    assert last_checkpoint(tmp_path) == tmp_path / 'iter_4.pth'
    state = load_from_local(tmp_path / 'iter_4.pth')
    assert state['meta']['iter'] == 4
    if max_keep > 0:
        assert state['message_hub']['runtime_info']['keep_ckpt_ids'] == [1, 2, 3, 4][-max_keep:]


def test_resuming_goes_on_displacing(tmp_path):
    toy_runner(tmp_path, default_hooks=hooks(max_keep_ckpts=2)).train()
    longer = dict(type='IterBasedTrainLoop', max_iters=6, val_interval=2)
    runner = toy_runner(tmp_path, default_hooks=hooks(max_keep_ckpts=2), resume=True, train_cfg=longer)
    runner.train()
    assert names(tmp_path) == ['iter_5.pth', 'iter_6.pth']


def test_stopped_ahead_of_the_first_checkpoint(tmp_path):
    """It doesn't begin with random weights instead of those that its config starts from."""
    toy_runner(tmp_path / 'old').train()
    old = tmp_path / 'old/iter_4.pth'
    settings = dict(default_hooks=hooks(), resume=True, optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
    runner = toy_runner(tmp_path / 'new', cfg=dict(start_from=str(old)), **settings)
    runner.train()
    assert torch.equal(runner.model.linear.weight, load_from_local(old)['state_dict']['linear.weight'])
    assert runner.iter == 4 and load_from_local(tmp_path / 'new/iter_1.pth')['meta']['iter'] == 1
    toy_runner(tmp_path / 'new', cfg=dict(start_from='gone.pth'), **settings).train()  # its own comes first


def test_epochs(tmp_path):
    settings = dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=1)
    toy_runner(tmp_path, by_epoch=True, default_hooks=dict(checkpoint=settings)).train()
    assert names(tmp_path) == ['epoch_2.pth']
    assert load_from_local(last_checkpoint(tmp_path))['meta']['epoch'] == 2


@pytest.mark.parametrize(('scores', 'best'), [([50.0, 60.0], 4), ([60.0, 50.0], 2)])
def test_best(tmp_path, scores, best):
    toy_runner(tmp_path, scores, default_hooks=hooks(save_best='mIoU', max_keep_ckpts=1)).train()
    assert names(tmp_path) == [f'best_mIoU_iter_{best}.pth', 'iter_4.pth']
    info = load_from_local(tmp_path / 'iter_4.pth')['message_hub']['runtime_info']
    assert info['best_score'] == max(scores)
    assert info['best_ckpt'] == str(tmp_path / f'best_mIoU_iter_{best}.pth')


def fail_at(monkeypatch, number, failure):
    """Let the ``number``-th file fail once half of it is written."""
    calls = iter(range(1, 100))
    sync = os.fsync

    def fsync(descriptor):
        if next(calls) == number:
            os.ftruncate(descriptor, 1000)
            failure()
        sync(descriptor)

    monkeypatch.setattr(files.os, 'fsync', fsync)


def interrupt():
    raise KeyboardInterrupt


def disk_full():
    raise OSError(28, 'No space left on device')


def resume(folder, scores=()):
    runner = toy_runner(folder, scores, default_hooks=hooks(max_keep_ckpts=1), resume=True)
    runner.train()
    return runner


# The files are iter_1, last_checkpoint, iter_2, last_checkpoint, ...
@pytest.mark.parametrize(('number', 'survivor'), [(5, 2), (6, 2), (3, 1)])
@pytest.mark.parametrize(('failure', 'error'), [(interrupt, KeyboardInterrupt), (disk_full, OSError)])
def test_interrupted_while_saving(tmp_path, monkeypatch, number, survivor, failure, error):
    with monkeypatch.context() as patch:
        fail_at(patch, number, failure)
        with pytest.raises(error):
            toy_runner(tmp_path, default_hooks=hooks(max_keep_ckpts=1)).train()
    assert last_checkpoint(tmp_path) == tmp_path / f'iter_{survivor}.pth'
    assert load_from_local(last_checkpoint(tmp_path))['meta']['iter'] == survivor
    assert not any(name.startswith('.') for name in names(tmp_path))
    assert resume(tmp_path).iter == 4


def test_previous_best_survives_a_failure(tmp_path, monkeypatch):
    # iter_1, note, iter_2, note, best_2, iter_2, note, iter_3, note, iter_4, note, best_4
    with monkeypatch.context() as patch:
        fail_at(patch, 12, interrupt)
        with pytest.raises(KeyboardInterrupt):
            toy_runner(tmp_path, [50.0, 60.0], default_hooks=hooks(save_best='mIoU', max_keep_ckpts=1)).train()
    assert names(tmp_path) == ['best_mIoU_iter_2.pth', 'iter_4.pth']
    assert load_from_local(tmp_path / 'best_mIoU_iter_2.pth')['meta']['iter'] == 2


def die_while_saving(path):
    files.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    save_checkpoint({'state_dict': {'weight': torch.ones(1000)}}, path, backend_args=dict(backend='atomic_local'))


def test_killed_while_saving(tmp_path):
    toy_runner(tmp_path, default_hooks=hooks(max_keep_ckpts=1)).train()
    whole = (tmp_path / 'iter_4.pth').read_bytes()
    fork = multiprocessing.get_context('fork')
    process = fork.Process(target=die_while_saving, args=(str(tmp_path / 'iter_4.pth'), ))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / 'iter_4.pth').read_bytes() == whole
    assert any(name.startswith('.iter_4.pth.') for name in names(tmp_path))


def test_folder_that_cannot_be_written(tmp_path):
    runner = toy_runner(tmp_path / 'run', default_hooks=hooks(out_dir=str(tmp_path / 'taken')))
    (tmp_path / 'taken').touch()
    with pytest.raises(OSError, match=r'cannot write .*taken.run.iter_1\.pth'):
        runner.train()
