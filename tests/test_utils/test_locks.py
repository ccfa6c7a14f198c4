import os
import signal

import pytest

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.locks import locked_file, locked_folder


def test_one_at_a_time(tmp_path):
    with locked_file(tmp_path / 'lock', 'it is being made'):
        with pytest.raises(FileError, match='^it is being made by another process: wait for it to end$'), \
                locked_file(tmp_path / 'lock', 'it is being made'):
            pass
        assert (tmp_path / 'lock').exists()
    assert not list(tmp_path.iterdir())
    with locked_file(tmp_path / 'lock', 'it is being made'):
        pass


def test_a_killed_process_keeps_nobody_out(tmp_path):
    child = os.fork()
    if child == 0:
        with locked_file(tmp_path / 'lock', ''):
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / 'lock').exists()
    with locked_file(tmp_path / 'lock', ''):
        pass


def test_waiting(tmp_path, capsys):
    """The other process ends, and removes the lock on which this one waits: it takes a new one."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with locked_file(tmp_path / 'lock', ''):
            os.write(ready[1], b'x')
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    os.write(go[1], b'x')
    with locked_file(tmp_path / 'lock', 'it is being made', wait=True):
        assert os.path.exists(tmp_path / 'lock')
        with pytest.raises(FileError), locked_file(tmp_path / 'lock', ''):
            pass
    os.waitpid(child, 0)
    assert capsys.readouterr().out in ('', 'it is being made by another process: waiting for it to end\n')


def test_where_nobody_can_write():
    with pytest.raises(FileError, match='/proc/lock cannot be made'), locked_file('/proc/lock', ''):
        pass


def fork(folder):
    """A process that holds the lock, and one that it forked and that lives on; returns both ids."""
    reader, writer = os.pipe()
    holder = os.fork()
    if holder == 0:
        with locked_folder(folder, 'training'):
            forked = os.fork()
            if forked:
                os.write(writer, b'%d' % forked)
            signal.pause()
        os._exit(0)
    forked = int(os.read(reader, 20))
    return holder, forked


def test_a_lock_ends_with_its_process(tmp_path):
    holder, forked = fork(tmp_path)
    try:
        for _ in range(2):
            with pytest.raises(InputError, match=f'another training is at work in .*: process {holder} on .*another '
                               'folder'), locked_folder(tmp_path, 'training'):
                pass
        with locked_folder(tmp_path, 'preparation'):
            pass
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        with locked_folder(tmp_path, 'training'):
            assert f'process {os.getpid()} on' in (tmp_path / '.training.lock').read_text()
        os.kill(forked, 0)  # is still there
    finally:
        os.kill(forked, signal.SIGKILL)


def test_a_lock_ends_with_its_work(tmp_path):
    for _ in range(2):
        with locked_folder(tmp_path, 'training'):
            pass
    child = os.fork()
    if child == 0:
        with locked_folder(tmp_path, 'training'):
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileError, match='cannot write'), locked_folder(tmp_path / 'gone', 'training'):
        pass


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(38, 'Function not implemented')

    monkeypatch.setattr('mmrefseg.utils.locks.fcntl.lockf', fail)
    with locked_folder(tmp_path, 'training'):
        pass


@pytest.mark.parametrize('link', [os.symlink, os.link])
def test_what_a_lock_of_others_leads_to_stays(tmp_path, link):
    victim, folder = tmp_path / 'victim', tmp_path / 'work'
    victim.write_text('precious')
    folder.mkdir()
    link(victim, folder / '.training.lock')
    with pytest.raises(FileError, match='remove it'), locked_folder(folder, 'training'):
        pass
    assert victim.read_text() == 'precious'


def test_a_pipe_is_no_lock(tmp_path):
    os.mkfifo(tmp_path / '.training.lock')
    with pytest.raises(FileError, match='is no file'), locked_folder(tmp_path, 'training'):
        pass
