import os
import signal
import time
from pathlib import Path

import mmengine.runner  # noqa: F401  as all tools do; what DDP imports while the group is up keeps its threads
import pytest
import torch
import torch.distributed as dist
from helpers.distributed import run_distributed
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmrefseg.errors import InputError
from mmrefseg.utils.launched_processes import (
    has_any_told,
    is_first_process,
    is_first_to_tell,
    launchers_number,
    leave_process_group,
    tie_to_launcher,
)
from mmrefseg.utils.worker_processes import is_running


def test_numbers_of_the_environment(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    assert launchers_number('RANK') == 0 and launchers_number('RANK', 1) == 1
    monkeypatch.setenv('RANK', '12')
    assert launchers_number('RANK', 1) == 12 and not is_first_process('pytorch')
    for text in ('', 'abc', '-1', '1.5', '1_0', '٣', '9' * 5000):
        monkeypatch.setenv('RANK', text)
        with pytest.raises(InputError, match='the environment variable RANK is .* whole number'):
            is_first_process('pytorch')


def start_launcher(launcher=None):
    """A process that starts another as torchrun does, which forks a third; returns its id and where they tell theirs.

    They believe to come from ``launcher``, if that is given.
    """
    reader, writer = os.pipe()
    started = os.fork()
    if started:
        os.close(writer)
        return started, reader
    os.environ.update(TORCHELASTIC_RUN_ID='none', MMREFSEG_LAUNCHER=str(launcher or os.getpid()))
    if os.fork() == 0:
        try:
            tie_to_launcher('pytorch')
            os.fork()
            os.write(writer, b'%d ' % os.getpid())
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    signal.pause()


def test_processes_end_with_their_launcher():
    launcher, reader = start_launcher()
    processes = b''
    while processes.count(b' ') < 2:
        processes += os.read(reader, 100)
    os.kill(launcher, signal.SIGKILL)
    os.waitpid(launcher, 0)
    deadline = time.monotonic() + 20
    while any(map(is_running, map(int, processes.split()))) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, map(int, processes.split())))


def test_a_launcher_that_died_before(tmp_path):
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitid(os.P_PID, gone, os.WEXITED | os.WNOWAIT)
    parent, reader = start_launcher(gone)
    try:
        assert os.read(reader, 100) == b'', 'it ended without a word'
    finally:
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        os.waitpid(gone, 0)


@pytest.mark.parametrize(('launcher', 'variable'), [
    ('pytorch', 'RANK'), ('slurm', 'SLURM_PROCID'), ('mpi', 'OMPI_COMM_WORLD_RANK')])
def test_first_process(monkeypatch, launcher, variable):
    monkeypatch.setenv('RANK', '0')
    assert is_first_process(launcher)
    monkeypatch.setenv(variable, '1')
    assert not is_first_process(launcher)
    assert is_first_process('none')


def threads_of_the_group():
    names = [path.read_text() for path in Path('/proc/self/task').glob('*/comm')]
    return [name for name in names if 'gloo' in name]


def train_and_leave(folder):
    model = DistributedDataParallel(nn.Linear(2, 1))
    model.itself = [model]
    model(torch.ones(1, 2)).sum().backward()
    assert threads_of_the_group()
    if dist.get_rank() == 0:
        time.sleep(0.5)
        Path(folder, 'last_file').touch()
    del model
    leave_process_group()
    assert Path(folder, 'last_file').exists(), 'no process leaves before'
    assert not threads_of_the_group()
    leave_process_group()


def test_leaving(tmp_path):
    (tmp_path / 'meet').mkdir()
    run_distributed(train_and_leave, tmp_path / 'meet', str(tmp_path))


def test_each_message_is_told_once(monkeypatch, torchruns_store):
    assert not has_any_told()
    assert is_first_to_tell('a file is missing')
    assert not is_first_to_tell('a file is missing')
    assert is_first_to_tell('another one, too')
    assert has_any_told()
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '1')
    assert not has_any_told()
    assert is_first_to_tell('a file is missing')


def test_without_torchrun_or_after_it_all_tell(monkeypatch, torchruns_store):
    monkeypatch.setenv('MASTER_PORT', '1')
    assert is_first_to_tell('a')
    monkeypatch.delenv('TORCHELASTIC_USE_AGENT_STORE')
    assert is_first_to_tell('a') and is_first_to_tell('a')
    assert not has_any_told()
