"""Of several processes each failure is told once, by the process that knows."""
import signal
import subprocess
import sys

import pytest
from helpers.load_script import ROOT, load_script
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure


@pytest.fixture
def ends_with(monkeypatch, capsys):
    """Runs the launcher whose processes end as the test says; returns its status and what it prints."""
    launch = load_script('tools/launch.py')

    def run(error):
        def raise_it():
            raise error

        monkeypatch.setattr(launch.run, 'main', raise_it)
        return launch.main(), capsys.readouterr().err

    return run


def failed(**exitcodes):
    return ChildFailedError('train.py', {int(rank[1:]): ProcessFailure(int(rank[1:]), 99, code, '/nowhere')
                                         for rank, code in exitcodes.items()})


def test_a_process_that_failed_has_said_why(ends_with):
    assert ends_with(failed(p0=1, p1=1)) == (1, '')


def test_a_process_that_was_killed(ends_with):
    status, told = ends_with(failed(p0=1, p1=-signal.SIGTERM, p2=-signal.SIGKILL, p3=-signal.SIGSEGV))
    killed, crashed = told.splitlines()
    assert status == 1 and crashed == 'launch: process 3 was ended by SIGSEGV'
    assert killed.startswith('launch: process 2 was ended by SIGKILL; the system does so when memory runs out')


def test_interrupted(ends_with):
    assert ends_with(SignalException('interrupted', signal.SIGINT)) == (130, '')


def test_another_error_keeps_its_traceback(ends_with):
    with pytest.raises(ValueError, match='a bug'):
        ends_with(ValueError('a bug'))


def test_two_processes(tmp_path):
    """The first ends with a message, whereupon the second is ended."""
    script = tmp_path / 'train.py'
    script.write_text("import os, sys, time\n"
                      "if os.environ['RANK'] == '0': sys.exit('train: the weights are missing')\n"
                      'time.sleep(60)\n')
    ended = subprocess.run([sys.executable, str(ROOT / 'tools/launch.py'), '--standalone', '--nproc_per_node', '2',
                            str(script)], capture_output=True, text=True, timeout=60,
                           env={'OMP_NUM_THREADS': '1', 'PATH': ''})
    assert (ended.returncode, ended.stderr) == (1, 'train: the weights are missing\n')
