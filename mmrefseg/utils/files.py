"""Writing files so that a broken run leaves no broken file, reading what tools wrote, and opening what others named."""
from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from mmrefseg.errors import FileError, InputError, MissingInputError


def _explained(error: OSError, path: Path) -> FileError:
    return FileError(error.errno, f'cannot write {path} ({error.strerror}); name a folder that you may write to and '
                     'that has space left')


def check_writable(folder: str | Path) -> None:
    """Make a folder if it isn't there, and make sure that files can be written into it.

    Args:
        folder: path of the folder.

    Raises:
        FileError: the folder cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _explained(error, folder) from error


def write_atomically(data: bytes, path: str | Path) -> None:
    """Write a file completely or not at all: whenever the process dies, the path holds the old content or the new.

    Args:
        data: the content.
        path: path of the file; its folder is made if it isn't there.

    Raises:
        FileError: the file cannot be written; the old one is untouched.
    """
    path = Path(path)
    # The same name at each call, so that what a killed process left is overwritten by the next.
    unfinished = path.with_name(f'.{path.name}.unfinished')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open('wb') as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(error, path) from error


def open_regular(path: str | Path, most: int) -> BinaryIO:
    """Open a file for reading that somebody else named: nothing that would never end, or wait for ever.

    Args:
        path: path of the file; may be a link to it.
        most: bytes that it may have.

    Raises:
        MissingInputError: there is no such file.
        FileError: it cannot be opened, or is a folder, a device or the like.
        InputError: it has more bytes, or no file can have such a name.
    """
    try:
        # A pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingInputError(f'there is no file {path}') from error
    except OSError as error:
        raise FileError(f'{str(path)[:1000]} cannot be opened ({error.strerror}). It must be a file that you may '
                        'read') from error
    except ValueError as error:
        raise InputError(f'no file can be called {str(path)[:1000]!r} ({error})') from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= most:
        return os.fdopen(descriptor, 'rb')
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise InputError(f'{path} has {status.st_size} bytes, and at most {most} are read')
    raise FileError(f'{path} is no regular file, but a folder, a device or a pipe, and is not read')


def read_regular(path: str | Path, most: int) -> bytes:
    """What a file holds that somebody else named; takes and raises what :func:`open_regular` does."""
    with open_regular(path, most) as file:
        try:
            return file.read(most)
        except OSError as error:
            raise FileError(f'{path} cannot be read ({error.strerror})') from error


def read_json_object(path: str | Path, made_by: str) -> dict[str, Any]:
    """Read a JSON object with a key for each split, as our tools write them.

    Args:
        path: path of the file.
        made_by: the tool that writes such files, for the messages.

    Raises:
        MissingInputError: the file is missing; names what writes it.
        InputError: it is damaged, or no JSON object.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f'{path} is missing; {made_by} writes it')
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f'{path} is not a whole JSON file ({error}); let {made_by} write it again') from error
    if not isinstance(content, dict):
        raise InputError(f'{path} must hold a JSON object with a key for each split; {made_by} writes such a file')
    return content
