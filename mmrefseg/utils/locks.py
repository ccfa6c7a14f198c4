"""Keeping other processes out: of one piece of work, or of a folder for as long as a process lives."""
from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mmrefseg.errors import FileError, InputError


@contextmanager
def locked_file(lock: str | Path, what: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that other processes respect; it ends with the process and those it forked, however they end.

    Where a file system knows no locks, there is none.

    Args:
        lock: path of the lock's file, in a folder that is there; it is removed in the end. What a killed process left
            keeps nobody out.
        what: what is being done to what, for the message: ``'data/mine is being prepared'``.
        wait: wait for whoever has it, and say so, instead of giving up. Default False.

    Raises:
        FileError: another process has it, or the file cannot be made.
    """
    file = None
    try:
        while file is None:
            file = _open_locked(Path(lock), what, wait)
        yield
    finally:
        if file is not None:
            with suppress(OSError):  # its folder may be gone
                os.unlink(lock)
            os.close(file)


def _open_locked(lock: Path, what: str, wait: bool) -> int | None:
    """The lock's open file; None if its last holder has removed it."""
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise FileError(error.errno, f'{lock} cannot be made ({error.strerror})') from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            os.close(file)
            raise FileError(f'{what} by another process: wait for it to end') from None
        print(f'{what} by another process: waiting for it to end', flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        pass
    if os.fstat(file).st_nlink:
        return file
    os.close(file)
    return None


@contextmanager
def locked_folder(folder: str | Path, work: str) -> Iterator[None]:
    """Keep other processes from the same work in a folder, while this one lives.

    The lock is the system's, on a file ``.<work>.lock`` that stays there: it ends with its process, however that dies,
    and forked processes don't have it. Where a file system knows no locks, there is none.

    Args:
        folder: the folder, which is there.
        work: the work's name, such as ``'training'``.

    Raises:
        InputError: another process works there; names it.
        FileError: the file cannot be written, or is a link or no file: a folder may come from somebody else, and what
            its links lead to stays as it is.
    """
    path = Path(folder, f'.{work}.lock')
    with _open_own(path) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                file.seek(0)
                raise InputError(f'another {work} is at work in {folder}: {file.read(200).strip() or "no name"}. Wait '
                                 'for its end, stop it, or name another folder.') from None
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()}\n')
        file.flush()
        yield


def _open_own(path: Path) -> TextIO:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        trouble = 'it is a link, which this tool never makes' if error.errno == errno.ELOOP else error.strerror
        raise FileError(error.errno, f'cannot write {path} ({trouble}); remove it, or name a folder that you may write '
                        'to') from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise FileError(f'{path} is no file, or one with several names, which this tool never makes; remove it')
    return open(descriptor, 'r+', errors='replace')
