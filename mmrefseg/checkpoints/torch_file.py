"""The two formats of ``torch.save``, read as data: a zip archive, and the older one of several pickles in a row."""
from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import torch
from torch import Tensor

from mmrefseg.utils.zip_archive import open_archive

from .unpickling import unpickle

_MAGIC = 0x1950a86a20f9469cfc6c
_PROTOCOL = 1001


def _check(holds: bool, trouble: str) -> None:
    if not holds:
        raise pickle.UnpicklingError(trouble)


def _read_elements(file: BinaryIO, dtype: torch.dtype, length: int, device: torch.device | str) -> Tensor:
    elements = torch.empty(length, dtype=dtype)
    if length:
        count = file.readinto(memoryview(elements.view(torch.uint8).numpy()))
        _check(count == length * dtype.itemsize, 'it ends too early')
    return elements.to(device)


def _data_folder(archive: zipfile.ZipFile, size: int) -> str:
    """The folder in an archive that a checkpoint is in; refuses what PyTorch doesn't write."""
    members = archive.infolist()
    _check(all(member.compress_type == zipfile.ZIP_STORED and not member.flag_bits & 1 for member in members)
           and sum(member.file_size for member in members) <= size, 'its members are compressed')
    pickles = [member.filename for member in members if PurePosixPath(member.filename).name == 'data.pkl']
    _check(len(pickles) == 1, 'it has no data.pkl')
    return pickles[0].removesuffix('data.pkl')


def read_zip(file: BinaryIO, device: torch.device | str = 'cpu') -> Any:
    """Read a file in today's format of ``torch.save``.

    The checksum of every member that is read is compared.

    Args:
        file: a zip archive, opened for reading.
        device: where the tensors go. Default ``'cpu'``.

    Returns:
        Its content; see :func:`.unpickling.unpickle`.

    Raises:
        zipfile.BadZipFile: a checksum is wrong, or it is no zip archive that
            :func:`~mmrefseg.utils.zip_archive.open_archive` opens.
        pickle.UnpicklingError: as :func:`.unpickling.unpickle`.
    """
    size = file.seek(0, io.SEEK_END)
    with open_archive(file) as archive:
        folder = _data_folder(archive, size)
        if f'{folder}byteorder' in archive.namelist():
            _check(archive.read(f'{folder}byteorder').decode() == sys.byteorder, 'its byte order is another')
        found: dict[str, Tensor] = {}

        def find_storage(key: str, dtype: torch.dtype, length: int) -> Tensor:
            if key not in found:
                member = archive.getinfo(f'{folder}data/{key}')
                _check(member.file_size == length * dtype.itemsize, f'storage {key} is of another length')
                with archive.open(member) as content:
                    found[key] = _read_elements(content, dtype, length, device)
            _check(found[key].dtype == dtype and len(found[key]) == length, f'storage {key} is of another type')
            return found[key]

        return unpickle(io.BytesIO(archive.read(f'{folder}data.pkl')), find_storage)


def _read_legacy_storages(file: BinaryIO, keys: Sequence[str], expected: dict[str, Tensor],
                          device: torch.device | str) -> dict[str, Tensor]:
    found = {}
    for key in keys:
        length, = struct.unpack('<q', file.read(8))
        _check(key in expected and length == len(expected[key]), f'storage {key} is of another length')
        found[key] = _read_elements(file, expected[key].dtype, length, device)
    _check(found.keys() == expected.keys(), 'some of its storages are missing')
    return found


def read_legacy(file: BinaryIO, device: torch.device | str = 'cpu') -> Any:
    """Read a file in the format of ``torch.save`` before PyTorch 1.6, which has no checksums.

    Args:
        file: the file, opened for reading.
        device: where the tensors go. Default ``'cpu'``.

    Returns:
        Its content; see :func:`.unpickling.unpickle`.

    Raises:
        pickle.UnpicklingError: as :func:`.unpickling.unpickle`.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    expected: dict[str, Tensor] = {}

    def refuse(*_: Any) -> Tensor:
        raise pickle.UnpicklingError('a storage is where none is expected')

    def find_expected(key: str, dtype: torch.dtype, length: int) -> Tensor:
        _check(0 <= length * dtype.itemsize <= size, 'it ends too early')
        # The elements come behind the pickle, which is read a second time with them.
        elements = expected.setdefault(key, torch.empty(length, dtype=dtype, device='meta'))
        _check(elements.dtype == dtype and len(elements) == length, f'storage {key} is of another type')
        return elements

    _check(unpickle(file, refuse) == _MAGIC and unpickle(file, refuse) == _PROTOCOL, 'it is no checkpoint')
    about = unpickle(file, refuse)
    _check(isinstance(about, dict) and about.get('little_endian', True) is (sys.byteorder == 'little'),
           'its byte order is another')
    start = file.tell()
    unpickle(file, find_expected)
    keys = unpickle(file, refuse)
    _check(type(keys) is list and all(type(key) is str for key in keys) and len(set(keys)) == len(keys),
           'it names no storages')
    found = _read_legacy_storages(file, keys, expected, device)
    file.seek(start)
    return unpickle(file, lambda key, dtype, length: found[key])
