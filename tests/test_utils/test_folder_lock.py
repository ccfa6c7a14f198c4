import os
import signal

import pytest

from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.folder_lock import locked_folder


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

    monkeypatch.setattr('mmrefseg.utils.folder_lock.fcntl.lockf', fail)
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
