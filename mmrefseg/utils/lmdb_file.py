"""LMDB files of plain bytes that say what they are and can be checked.

Such a file holds a value ``header``: the SHA-256 of the rest of this value in hexadecimal digits, a line feed, and a
JSON object with ``format``, ``format_version``, ``content_sha256`` (of all other keys and values) and what the writer
adds. Values are read at an address, ``lmdb:///folder/data.lmdb#key``.
"""
from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import lmdb

from mmrefseg.errors import InputError, MissingInputError

from .files import MAX_IMAGE_BYTES, MAX_JSON_BYTES, open_regular
from .json_text import decode_json
from .lmdb_pages import LMDBPages

LMDB_FORMAT = 'mmrefseg'
LMDB_FORMAT_VERSION = 1
IMAGE_PREFIX = 'images/'

_SCHEME = 'lmdb://'
_HEADER = b'header'
_LONGEST_KEY = 511
_LONGEST_HEADER = 1 << 20
_BATCH = 1 << 25

_MOST_OPEN = 64

# By device and inode, for another file may take a file's name; the oldest makes room for others.
_opened: dict[tuple[int, int], LMDBPages] = {}


def is_lmdb_address(path: str | Path) -> bool:
    """Whether a path is the address of a value in an LMDB file.

    Args:
        path: a path, or an address.
    """
    return str(path).startswith(_SCHEME)


def image_address(file: str | Path, name: str = '') -> str:
    """The address of an image in an LMDB file.

    Args:
        file: path of the LMDB file.
        name: name of the image. Default none: what stands before ``/name`` in each address.
    """
    return f'{_SCHEME}{os.path.abspath(file)}#{IMAGE_PREFIX}{name}'.removesuffix('/')


def read_image_bytes(address: str) -> bytes:
    """The bytes of an image in an LMDB file.

    Args:
        address: the image's address, as :func:`image_address` gives it.

    Raises:
        MissingInputError: there is no such file or image.
        InputError: the file is damaged or something else.
    """
    file, _, name = address.removeprefix(_SCHEME).partition(f'#{IMAGE_PREFIX}')
    content = read_value(file, IMAGE_PREFIX + name, MAX_IMAGE_BYTES)
    if content is None:
        raise MissingInputError(f'The image {name!r} is not in {file}, which belongs to other annotations.')
    return content


def read_value(file: str | Path, key: str, limit: int = MAX_JSON_BYTES) -> bytes | None:
    """A value of an LMDB file; None if there is no such key.

    The file is opened once, unless a process reads more than 64 of them, and without a lock, so that it may lie on a
    read-only file system and be read by any number of processes. LMDB itself isn't asked, which a damaged page sends
    out of the file, and the process with it: each page is checked when it is read, which takes longer than LMDB itself
    does.

    Args:
        file: path of the LMDB file.
        key: name of the value.
        limit: bytes that it may have. Default the package's bound for JSON, 4 GB.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is damaged or something else, or the value is larger.
    """
    encoded = key.encode()
    if len(encoded) > _LONGEST_KEY:
        return None
    pages = _pages(str(file))
    try:
        return pages.get(encoded, limit)
    except InputError as error:
        raise _damaged(file, error) from error


def read_lmdb_header(file: str | Path) -> dict[str, Any]:
    """The header of an LMDB file, checked.

    Args:
        file: path of the LMDB file.

    Raises:
        MissingInputError: there is no such file.
        InputError: it is damaged, something else or of another version.
    """
    digest, _, content = (read_value(file, 'header', _LONGEST_HEADER) or b'').partition(b'\n')
    if hashlib.sha256(content).hexdigest().encode() != digest:
        raise _damaged(file, 'it has no header, or one that does not fit its own checksum')
    try:
        header = decode_json(content.decode())
    except (ValueError, RecursionError) as error:
        raise _damaged(file, f'its header is no JSON: {error}') from error
    if not isinstance(header, dict):
        raise _damaged(file, 'its header is no JSON object')
    found = header.get('format'), header.get('format_version')
    if found != (LMDB_FORMAT, LMDB_FORMAT_VERSION):
        raise InputError(f'{file} is of format {found}, but this version of mmrefseg reads '
                         f'{(LMDB_FORMAT, LMDB_FORMAT_VERSION)}. Prepare the data set again.')
    return header


def check_content(file: str | Path) -> None:
    """Read an LMDB file from end to end.

    Args:
        file: path of the LMDB file.

    Raises:
        MissingInputError: there is no such file.
        InputError: anything in it is damaged.
    """
    expected = read_lmdb_header(file).get('content_sha256')
    pages = _pages(str(file))
    try:
        found = _content_sha256(pages.items())
    except InputError as error:
        raise _damaged(file, error) from error
    if found != expected:
        raise _damaged(file, 'its content does not fit its checksum')


class LMDBWriter:
    """Writes an LMDB file, or goes on where a killed one stopped; its size needs no thought.

    Args:
        path: the file; its folder is there.

    Raises:
        InputError: the file is there, but is damaged or no LMDB file. LMDB itself would follow its pages out of the
            file, and the process would end.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(path)
        _check_pages(self._path)
        try:
            # Nobody else reads or writes an unfinished file.
            self._environment = lmdb.open(self._path, subdir=False, lock=False, map_size=1 << 26)
        except lmdb.Error as error:
            raise _damaged(path, error) from error

    def write(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Write values. They are committed from time to time, so that they survive the end of the process.

        Args:
            items: key and value of each.

        Raises:
            InputError: a key is too long.
        """
        batch, size = [], 0
        for key, value in items:
            encoded = key.encode()
            if len(encoded) > _LONGEST_KEY:
                raise InputError(f'{key!r} is longer than the {_LONGEST_KEY} bytes that LMDB takes for a name. Give '
                                 'the file a shorter one.')
            batch.append((encoded, value))
            size += len(value)
            if size > _BATCH:
                self._commit(batch)
                batch, size = [], 0
        self._commit(batch)

    def _commit(self, batch: list[tuple[bytes, bytes]]) -> None:
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in batch:
                        transaction.put(key, value)
                return
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()['map_size'])
            except lmdb.CorruptedError as error:
                raise _not_to_go_on_with(self._path, error) from error

    def finish(self, header: dict[str, Any]) -> None:
        """Write the header and close the file.

        Args:
            header: what the header says besides format, version and checksum.
        """
        with self._environment.begin(buffers=True) as transaction:
            checksum = _content_sha256(transaction.cursor())
        content = json.dumps({'format': LMDB_FORMAT, 'format_version': LMDB_FORMAT_VERSION, 'content_sha256': checksum,
                              **header}).encode()
        self.write([('header', hashlib.sha256(content).hexdigest().encode() + b'\n' + content)])
        self.close()

    def close(self) -> None:
        """Close the LMDB file."""
        self._environment.close()


def _check_pages(file: str) -> None:
    """Read what a killed writer left, if there is anything."""
    with suppress(FileNotFoundError):
        if os.path.getsize(file):
            with open_regular(file) as opened:
                try:
                    deque(LMDBPages(opened).items(), maxlen=0)
                except InputError as error:
                    raise _not_to_go_on_with(file, error) from error


def _not_to_go_on_with(file: str, reason: object) -> InputError:
    return InputError(f'{file} is damaged ({reason}), so that nothing can be added to it: delete '
                      f'{os.path.dirname(file)} and prepare the data set again.')


def _pages(file: str) -> LMDBPages:
    """The pages of the file, opened when they are first asked for."""
    with suppress(OSError, KeyError):  # opening it will tell
        status = os.stat(file)
        return _opened[status.st_dev, status.st_ino]
    try:
        opened = open_regular(file)
    except MissingInputError:
        raise MissingInputError(f'{file} is missing. Set data_root to the folder of a data set that '
                                'tools/dataset_converters/prepare.py prepared with --lmdb.') from None
    try:
        pages = LMDBPages(opened)
    except InputError as error:
        opened.close()
        raise _damaged(file, error) from error
    weakref.finalize(pages, opened.close)  # when no thread reads them any more
    status = os.fstat(opened.fileno())
    _opened[status.st_dev, status.st_ino] = pages
    for oldest in list(_opened)[:-_MOST_OPEN]:
        _opened.pop(oldest, None)
    return pages


def _content_sha256(items: Iterable[tuple[bytes, bytes]]) -> str:
    digest = hashlib.sha256()
    for key, value in items:
        if key != _HEADER:
            digest.update(b'%d %d ' % (len(key), len(value)))
            digest.update(key)
            digest.update(value)
    return digest.hexdigest()


def _damaged(file: str | Path, reason: object) -> InputError:
    return InputError(f'{file} is damaged, or no LMDB file of mmrefseg ({reason}). Copy it again, or prepare the data '
                      'set again.')
