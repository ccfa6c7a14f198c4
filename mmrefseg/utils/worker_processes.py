"""Work spread over processes, in order and with bounded memory."""
from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from mmrefseg.errors import InputError, UserError

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Let this process be killed when its parent ends, however that dies. Only Linux can do so.

    The parent is, more exactly, the thread that started this process.

    Args:
        parent: id of the process that started this one. If it is dead already, this one ends at once.
    """
    if sys.platform != 'linux':
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # which died before that took effect
        os.kill(os.getpid(), signal.SIGKILL)


def is_running(process: int) -> bool:
    """Whether a process runs; one that has ended doesn't, even if its parent doesn't know yet.

    Args:
        process: its id.
    """
    try:
        state = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in 'ZX'


@cache
def forks_die_with_parent() -> None:
    """Let every process that a main thread forks from now on, such as a data loader's workers, die with its parent."""
    parents = []

    def before() -> None:
        # Another thread may end, and then what it forked would be killed, while the process goes on.
        parents[:] = [os.getpid()] if threading.current_thread() is threading.main_thread() else []

    def after_in_child() -> None:
        for parent in parents:
            die_with(parent)

    os.register_at_fork(before=before, after_in_child=after_in_child)


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and die with it; OpenCV's own threads would only compete."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    cv2.setNumThreads(0)


@contextmanager
def _interruption_put_off() -> Iterator[None]:
    """Hold Ctrl-C back, which Python would lose if it came while a process forks."""
    if threading.current_thread() is not threading.main_thread():
        yield  # which Ctrl-C never reaches
        return
    interrupted = []
    handler = signal.signal(signal.SIGINT, lambda *_: interrupted.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if interrupted:
        raise KeyboardInterrupt


def check_workers(workers: int) -> None:
    """Check a number of processes.

    Args:
        workers: the number.

    Raises:
        InputError: there are to be fewer than one.
    """
    if workers < 1:
        raise InputError(f'workers must be 1 or more, got {workers}')


@contextmanager
def ordered_map(workers: int) -> Iterator[Callable[[Callable, Iterable], Iterator]]:
    """A ``map`` over processes that keeps order and takes tasks only as fast as its results are used.

    Args:
        workers: number of processes; 1 means this very process.

    Yields:
        Called as ``map`` is, with one iterable.

    Raises:
        InputError: there are to be fewer than one.
        UserError: one of them is killed.
    """
    check_workers(workers)
    if workers == 1:
        yield map
        return
    # Forked, as PyTorch's data loaders are: a fresh interpreter would import the whole package again.
    pool = ProcessPoolExecutor(workers, mp_context=get_context('fork'), initializer=_start_worker,
                               initargs=(os.getpid(), ))
    def over_pool(function: Callable[[Any], Any], tasks: Iterable) -> Iterator:
        pending = deque()
        for task in tasks:
            pending.append(pool.submit(function, task))
            if len(pending) > 4 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    try:
        with _interruption_put_off():
            pool.submit(int).result()  # forks them all, before a progress bar starts its thread
        yield over_pool
    except BrokenProcessPool as error:
        raise UserError('a worker process was killed, perhaps for want of memory; run the same command with fewer '
                        '--workers') from error
    finally:
        pool.shutdown(cancel_futures=True)
