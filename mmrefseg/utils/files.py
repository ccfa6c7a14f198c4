"""Reading files that may be anything, and writing them so that a broken run leaves no broken file."""
from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from mmrefseg.errors import FileError, InputError, MissingInputError, UserError

from .json_text import json_decoder

MAX_IMAGE_BYTES = 1 << 28
"""Larger images and masks are not read: 256 MB."""

MAX_JSON_BYTES = 1 << 32
"""Larger JSON files are not read: 4 GB, nine times COCO's largest."""

JSON_ENCODING = 'utf-8-sig'
"""UTF-8, with the byte order mark that some editors write, or without."""

_UNFINISHED = '.unfinished'
_LONGEST_PREFIX = 60


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


def refuse_overwriting(out: str | Path, inputs: Iterable[str | Path]) -> None:
    """Refuse to write onto a file that is read.

    Args:
        out: file to write.
        inputs: files that are read; those that aren't there don't matter.

    Raises:
        FileError: ``out`` is one of them, by whatever name.
    """
    if os.path.isfile(out) and any(_is_same_file(out, path) for path in inputs):
        raise FileError(f'{out} is a file that is read, and would be lost; name another to write')


def refuse_foreign_files(folder: str | Path, names: Iterable[str]) -> None:
    """Refuse to write into a folder where files of these names lie, which somebody else's work may be.

    Args:
        folder: the folder; need not be there.
        names: of files and folders that would be written.

    Raises:
        FileError: one is there.
    """
    if there := [name for name in names if os.path.lexists(os.path.join(folder, name))]:
        raise FileError(f'{folder} holds {", ".join(sorted(there)[:5])}, which is not of such a run and would be lost; '
                        'name another folder')


def refuse_link(path: str | Path) -> None:
    """Refuse to write where a link lies: a folder may come from somebody else, and what its links lead to isn't theirs.

    This is for folders, and for files that grow or that somebody else's code writes; :func:`open_atomically` takes the
    place of a link.

    Args:
        path: what would be written, or written into; need not be there.

    Raises:
        FileError: it is a link.
    """
    if os.path.islink(path):
        raise FileError(f'{path} is a link to {os.path.realpath(path)}, which would be written: remove the link, or '
                        'name another folder')


def make_subfolder(folder: str | Path, name: str) -> Path:
    """Make a folder below one that a user names.

    Args:
        folder: the user's; may be a link, as may those above it.
        name: of the new one, with those between.

    Returns:
        Its path.

    Raises:
        FileError: it, or one between, is a link, or it cannot be made.
    """
    path = Path(folder)
    for part in Path(name).parts:
        path /= part
        refuse_link(path)
    with explain_writing(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def _is_same_file(first: str | Path, second: str | Path) -> bool:
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):  # what isn't there, or is no path
        return False


def read_regular(path: str | Path, limit: int) -> bytes:
    """Read the whole content of a file that may be anything.

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


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal digits.

    Args:
        path: the file.
    """
    digest = hashlib.sha256()  # Python 3.10 has no hashlib.file_digest
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json(path: str | Path, object_hook: Callable[[dict], Any] | None = None, mend: str = 'Get it again.') -> Any:
    """What a JSON file holds.

    Args:
        path: path of the file.
        object_hook: as :func:`json.loads` takes it. Default None.
        mend: what to do with a damaged file, for errors. Default ``'Get it again.'``.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is no whole JSON file, or an object in it has the same key twice.
        FileError: it cannot be read.
    """
    content = read_regular(path, MAX_JSON_BYTES)
    try:
        text = content.decode(JSON_ENCODING)
        del content  # may be half a gigabyte
        return json_decoder(object_hook).decode(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f'{path} is not a whole JSON file ({error}). {mend}') from error


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
    content = read_json(path, mend=f'Let {made_by} write it again.')
    if not isinstance(content, dict):
        raise InputError(f'{path} must hold a JSON object with a key for each split; {made_by} writes such a file')
    return content


def _explained(error: OSError, path: Path) -> FileError:
    return FileError(error.errno, f'cannot write {path} ({error.strerror}); name a folder that you may write to and '
                     'that has space left')


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON that a person can read, completely or not at all; named tuples become objects.

    Args:
        content: what JSON can hold, and named tuples.
        path: path of the file; its folder is made if it isn't there.

    Raises:
        FileError: it cannot be written; the old one is untouched.
    """
    text = json.dumps(_plain(content), ensure_ascii=False, indent=2)
    write_atomically(f'{text}\n'.encode(errors='backslashreplace'), path)  # half a character as JSON escapes it


def _plain(value: Any) -> Any:
    """Named tuples with their names, which JSON would leave out."""
    if hasattr(value, '_asdict'):
        return _plain(value._asdict())
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@contextmanager
def explain_writing(path: Path) -> Iterator[None]:
    """While somebody else's code writes a file: say what to do where it cannot.

    Args:
        path: the file.

    Raises:
        FileError: it cannot be written.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        raise _explained(error, path) from error


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
    """Write a file completely or not at all; see :func:`open_atomically`.

    Args:
        data: the content.
        path: path of the file; its folder is made if it isn't there.

    Raises:
        FileError: the file cannot be written; the old one is untouched.
    """
    with open_atomically(path) as file:
        file.write(data)


@contextmanager
def open_atomically(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file to write it completely or not at all: whenever the process dies, the path holds the old or the new.

    It takes its name when the block ends, and only without an error. Of several processes that write it at the same
    time, the last one's content remains, whole. What a killed process leaves, ``.<name>.<something>.unfinished``, the
    next call for the same path removes.

    Args:
        path: path of the file; its folder is made if it isn't there.

    Raises:
        FileError: the file cannot be written; the old one is untouched.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_remains(path)
        with _unfinished_file(path) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
    except UserError:
        raise
    except OSError as error:
        raise _explained(error, path) from error


def _prefix(path: Path) -> str:
    return f'.{path.name[:_LONGEST_PREFIX]}.'


@contextmanager
def _unfinished_file(path: Path) -> Iterator[BinaryIO]:
    """A file of a name that nobody else takes, beside a path; locked while it is open, and removed unless renamed."""
    while True:
        with path.with_name(f'{_prefix(path)}{secrets.token_hex(4)}{_UNFINISHED}').open('xb') as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if not os.fstat(file.fileno()).st_nlink:
                continue  # another process took it for remains before it was locked
            try:
                yield file
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(file.name)
            return


def _remove_remains(path: Path) -> None:
    """Remove what killed processes left of a file: unfinished ones that nobody has locked."""
    for remains in path.parent.glob(f'{glob.escape(_prefix(path))}*{_UNFINISHED}'):
        with suppress(OSError, InputError), open_regular(remains) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remains.unlink()
