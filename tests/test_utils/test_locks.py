import os

import pytest

from mmrefseg.errors import FileError
from mmrefseg.utils.locks import alone


def test_one_at_a_time(tmp_path):
    with alone(tmp_path / 'lock', 'it is being made'):
        with pytest.raises(FileError, match='^it is being made by another process: wait for it to end$'), \
                alone(tmp_path / 'lock', 'it is being made'):
            pass
        assert (tmp_path / 'lock').exists()
    assert not list(tmp_path.iterdir())
    with alone(tmp_path / 'lock', 'it is being made'):
        pass


def test_a_killed_process_keeps_nobody_out(tmp_path):
    child = os.fork()
    if child == 0:
        with alone(tmp_path / 'lock', ''):
            os._exit(0)
    os.waitpid(child, 0)
    assert (tmp_path / 'lock').exists()
    with alone(tmp_path / 'lock', ''):
        pass


def test_waiting(tmp_path, capsys):
    """The other process ends, and removes the lock on which this one waits: it takes a new one."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with alone(tmp_path / 'lock', ''):
            os.write(ready[1], b'x')
            os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    os.write(go[1], b'x')
    with alone(tmp_path / 'lock', 'it is being made', wait=True):
        assert os.path.exists(tmp_path / 'lock')
        with pytest.raises(FileError), alone(tmp_path / 'lock', ''):
            pass
    os.waitpid(child, 0)
    assert capsys.readouterr().out in ('', 'it is being made by another process: waiting for it to end\n')


def test_where_nobody_can_write():
    with pytest.raises(FileError, match='/proc/lock cannot be made'), alone('/proc/lock', ''):
        pass
