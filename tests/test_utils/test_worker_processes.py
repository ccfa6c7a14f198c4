import os
import signal
import threading
import time

import pytest

from mmrefseg.utils.worker_processes import (
    _interruption_put_off,
    die_with,
    forks_die_with_parent,
    is_running,
    ordered_map,
)


def _double(number):
    time.sleep(0.02 if number == 0 else 0)
    return 2 * number, os.getpid()


@pytest.mark.parametrize('workers', [1, 2])
def test_keeps_order_and_takes_tasks_as_results_are_used(workers):
    taken = []

    def tasks():
        for number in range(100):
            taken.append(number)
            yield number

    with ordered_map(workers) as map_over:
        results = map_over(_double, tasks())
        assert next(results)[0] == 0
        assert len(taken) <= 4 * workers + 1
        rest = list(results)
    assert [number for number, _ in rest] == list(range(2, 200, 2))
    assert all((process == os.getpid()) == (workers == 1) for _, process in rest)


@pytest.mark.parametrize('workers', [0, -1])
def test_at_least_one_worker(workers):
    with pytest.raises(ValueError, match=f'workers must be 1 or more, got {workers}'), ordered_map(workers):
        pass


def _fail(number):
    raise ValueError(f'task {number}')


def test_errors_of_tasks_come_through():
    with pytest.raises(ValueError, match='task 3'), ordered_map(2) as map_over:
        list(map_over(_fail, [3, 4]))


def test_an_interruption_while_processes_fork_is_not_lost():
    with pytest.raises(KeyboardInterrupt), _interruption_put_off():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        still_here = True
    assert still_here
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


def test_workers_die_with_their_parent():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with ordered_map(2) as map_over:
            os.write(writer, b' '.join({b'%d' % process for _, process in map_over(_double, range(20))}) + b'\n')
            signal.pause()
    workers = [int(process) for process in os.read(reader, 100).split()]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert workers
    wait_for_the_end_of(workers)


def wait_for_the_end_of(processes):
    deadline = time.monotonic() + 20
    while any(map(is_running, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_running, processes))


def test_what_is_forked_dies_with_its_parent():
    """Also what that forks in turn, and not by what its thread does."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        forks_die_with_parent()
        os.fork()
        os.fork()
        os.write(writer, b'%d ' % os.getpid())
        signal.pause()
        os._exit(0)
    processes = b''
    while processes.count(b' ') < 4:
        processes += os.read(reader, 100)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_for_the_end_of([int(process) for process in processes.split()])


def test_what_another_thread_forks_outlives_the_thread():
    child = os.fork()
    if child == 0:
        forks_die_with_parent()
        forked = []
        thread = threading.Thread(target=lambda: forked.append(os.fork() or time.sleep(0.2) or os._exit(7)))
        thread.start()
        thread.join()
        os._exit(os.waitstatus_to_exitcode(os.waitpid(forked[0], 0)[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_parent_that_is_dead_already():
    child = os.fork()
    if child == 0:
        die_with(os.getppid() + 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_process_that_ended_is_not_running():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not is_running(child), 'though nobody asked how'
    os.waitpid(child, 0)
    assert not is_running(child)
    assert is_running(os.getpid())
