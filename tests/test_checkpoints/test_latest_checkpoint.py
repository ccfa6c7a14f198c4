import os

import pytest
import torch

from mmrefseg.checkpoints.latest_checkpoint import (
    checkpoints_in,
    latest_whole_checkpoint,
    noted_checkpoint,
    own_file,
)
from mmrefseg.errors import InputError, MissingInputError

PARTS = ('meta', 'optimizer')


def save(folder, *steps, **entries):
    for step in steps:
        torch.save({'meta': dict(iter=step), 'optimizer': dict(state=step), **entries}, folder / f'iter_{step}.pth')


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.fixture
def latest(tmp_path):
    """What is chosen in the folder, by name, and the warnings."""

    def choose(*parameters):
        warnings = []
        path = latest_whole_checkpoint(tmp_path, tmp_path, 'iter_{}.pth', PARTS, warnings.append, parameters)
        assert path is None or path.parent == tmp_path
        return path and path.name, ' '.join(warnings)

    return choose


@pytest.mark.parametrize('noted', [
    'iter_4.pth', '/elsewhere/iter_4.pth', '../../iter_4.pth', r'C:\runs\a\iter_4.pth', ' iter_4.pth\n'])
def test_the_note_counts_by_its_name(tmp_path, latest, noted):
    save(tmp_path, 2, 4, 6)
    (tmp_path / 'last_checkpoint').write_text(noted)
    assert latest() == ('iter_4.pth', '')
    assert noted_checkpoint(tmp_path) == tmp_path / 'iter_4.pth'


@pytest.mark.parametrize('note', [None, b'', b' \n', b'\xff\xfe\x00', b'..', b'.', b'a\0b', b'gone.pth', b'/etc/passwd',
                                  b'x' * 100_000])
def test_a_note_that_helps_not(tmp_path, latest, note):
    save(tmp_path, 2, 10, 9)
    (tmp_path / 'notes.txt').touch()
    if note is not None:
        (tmp_path / 'last_checkpoint').write_bytes(note)
    name, warnings = latest()
    assert name == 'iter_10.pth'
    assert 'the latest whole checkpoint is taken' in warnings
    assert noted_checkpoint(tmp_path) is None


def test_a_note_that_is_no_file(tmp_path, latest):
    save(tmp_path, 2)
    os.mkfifo(tmp_path / 'last_checkpoint')
    assert latest()[0] == 'iter_2.pth'


@pytest.mark.parametrize('spoil', [
    cut_off, lambda path: path.write_bytes(b''), lambda path: torch.save(dict(meta=dict(iter=4)), path),
    lambda path: torch.save(dict(meta=dict(iter=4), optimizer=7), path), os.unlink])
def test_one_that_is_not_whole_is_passed_over(tmp_path, latest, spoil):
    save(tmp_path, 1, 2, 4, 8)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    spoil(tmp_path / 'iter_4.pth')
    name, warnings = latest()
    assert name == 'iter_2.pth', 'the one before; iter_8 is of an earlier run'
    assert 'iter_4.pth' in warnings


@pytest.mark.parametrize(('spoilt', 'told'), [
    (dict(state_dict={'a': torch.tensor([1, float('nan')])}), 'state_dict: a'),
    (dict(state_dict={'module.a': torch.tensor(-float('inf'))}), 'state_dict: a'),
    (dict(ema_state_dict={'module.a': torch.tensor(float('nan'))}), 'ema_state_dict: a'),
    (dict(optimizer=dict(state={0: dict(step=torch.tensor(1), exp_avg=torch.tensor([float('inf')]))})),
     "the optimizer's state"),
    (dict(optimizer=dict(a=[dict(state=(torch.tensor(float('nan')), ))])), "the optimizer's state"),
])
def test_one_that_is_not_finite_is_passed_over(tmp_path, latest, spoilt, told):
    save(tmp_path, 2, state_dict={'a': torch.ones(2), 'mask': torch.tensor(-float('inf'))})
    save(tmp_path, 4, **spoilt)
    (tmp_path / 'last_checkpoint').write_text('iter_4.pth')
    name, warnings = latest('a', 'b')
    assert name == 'iter_2.pth', 'whose mask is infinite on purpose'
    assert f'iter_4.pth holds NaN or infinity in {told}' in warnings and 'checkpoint before it is taken' in warnings
    (tmp_path / 'iter_2.pth').unlink()
    with pytest.raises(InputError, match=f'(?s)can be resumed:.*iter_4.pth holds NaN or infinity in {told}'):
        latest('a', 'b')


def test_none_is_whole(tmp_path, latest):
    save(tmp_path, 2, 4)
    for step in (2, 4):
        cut_off(tmp_path / f'iter_{step}.pth')
    with pytest.raises(InputError, match=r'(?s)can be resumed:.*iter_4.pth is truncated.*iter_2.pth is truncated'):
        latest()


@pytest.mark.parametrize('remains', ['last_checkpoint', 'best_mIoU_iter_2.pth'])
def test_a_run_without_its_checkpoints_is_not_started_over(tmp_path, latest, remains):
    (tmp_path / remains).write_text('iter_4.pth')
    with pytest.raises(MissingInputError, match='no checkpoint to go on from'):
        latest()


def test_checkpoints_behind_the_noted_one_are_named(tmp_path, latest):
    """A folder that was copied while its training went on: the note is older than what is there."""
    save(tmp_path, 12, 8)
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_4.pth')
    with pytest.raises(MissingInputError, match='comes behind it: iter_8.pth, iter_12.pth. .* name it behind --resume'):
        latest()


def test_what_is_a_runs_checkpoint(tmp_path):
    theirs = ['best_mIoU_epoch_3.pth', 'epoch_3.pth', 'iter_10.pth']
    for name in (*theirs, 'start.pth', 'iter_x.pth', 'iter_3.pth.bak', 'state_7.pth', 'last_checkpoint'):
        (tmp_path / name).touch()
    assert checkpoints_in(tmp_path) == theirs
    assert checkpoints_in(tmp_path, 'state_{}.pth') == [*theirs, 'state_7.pth']
    assert checkpoints_in(tmp_path / 'none') == []


def test_no_run_at_all(tmp_path, latest):
    (tmp_path / 'iter_x.pth').touch()
    (tmp_path / 'iter_3.pth').mkdir()
    assert latest() == (None, '')


@pytest.mark.parametrize('noted', [None, 7, b'iter_4.pth', ['iter_4.pth'], '', '/', '..', 'a/..', '.', '\0'])
def test_notes_that_name_no_file(tmp_path, noted):
    save(tmp_path, 4)
    assert own_file(noted, tmp_path) is None
