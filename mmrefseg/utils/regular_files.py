"""Reading of files that may be anything: a pipe that never ends, a device, or far too large."""
from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from mmrefseg.errors import FileError, InputError, MissingInputError

MAX_IMAGE_BYTES = 1 << 28
"""Larger images and masks are not read: 256 MB."""

MAX_JSON_BYTES = 1 << 32
"""Larger JSON files are not read: 4 GB, nine times COCO's largest."""


def open_regular(path: str | Path, limit: int | None = None) -> BinaryIO:
    """Open a file for reading, if it is one: no pipe, device, socket or folder. Links are followed.

    Args:
        path: path of the file.
        limit: bytes that it may have. Default None: any number.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is no file, or a larger one.
        FileError: it cannot be opened.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f'{path} is missing') from None
    except OSError as error:
        raise FileError(error.errno, f'{path} cannot be opened ({error.strerror})') from error
    except ValueError as error:  # NUL, or half a character
        raise InputError(f'{str(path)!r} is no path ({error})') from None
    status, trouble = os.fstat(descriptor), None
    if not stat.S_ISREG(status.st_mode):
        trouble = 'is no file, but a folder, pipe or device'
    elif limit is not None and status.st_size > limit:
        trouble = f'has {status.st_size} bytes; no file of this kind of more than {limit} is read'
    if trouble:
        os.close(descriptor)
        raise InputError(f'{path} {trouble}')
    return open(descriptor, 'rb')


def read_regular(path: str | Path, limit: int) -> bytes:
    """What a file holds.

    Args:
        path: path of the file.
        limit: bytes that it may have.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is no file, or a larger one.
        FileError: it cannot be read.
    """
    with open_regular(path, limit) as file:
        try:
            return file.read(os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise FileError(error.errno, f'{path} cannot be read ({error.strerror})') from error
