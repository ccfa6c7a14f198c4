"""Keeping other processes out."""
from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmrefseg.errors import FileError


@contextmanager
def alone(lock: str | Path, what: str, wait: bool = False) -> Iterator[None]:
    """Hold a lock that other processes respect; it ends with the process, however that ends.

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
            file = _locked(Path(lock), what, wait)
        yield
    finally:
        if file is not None:
            with suppress(OSError):  # its folder may be gone
                os.unlink(lock)
            os.close(file)


def _locked(lock: Path, what: str, wait: bool) -> int | None:
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
    if os.fstat(file).st_nlink:
        return file
    os.close(file)
    return None
