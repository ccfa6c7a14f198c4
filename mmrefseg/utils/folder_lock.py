"""One training at a time in a folder."""
from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from mmrefseg.errors import FileError, InputError


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
    with _open(path) as file:
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


def _open(path: Path) -> TextIO:
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
