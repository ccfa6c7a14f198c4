"""Writing files so that a broken run leaves no broken file, and reading what tools wrote."""
from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

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


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()  # Python 3.10 has no hashlib.file_digest
    with Path(path).open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


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
