"""Checkpoints with pickles written opcode by opcode, as an attacker would."""
from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def plain(value: Any) -> bytes:
    """Opcodes of a value of built-in types."""
    return pickle.dumps(value, protocol=2)[2:-1]


def named(path: str) -> bytes:
    """Opcodes of a global, such as ``numpy.ndarray``."""
    module, _, name = path.rpartition('.')
    return f'c{module}\n{name}\n'.encode()


def tuple_of(*items: bytes) -> bytes:
    """Opcodes of a tuple."""
    return b'(' + b''.join(items) + b't'


def list_of(*items: bytes) -> bytes:
    """Opcodes of a list."""
    return b'](' + b''.join(items) + b'e'


def dict_of(items: Mapping[str, bytes]) -> bytes:
    """Opcodes of a dict."""
    return b'}(' + b''.join(plain(key) + value for key, value in items.items()) + b'u'


def called(path: str, *arguments: bytes) -> bytes:
    """Opcodes of a call."""
    return named(path) + tuple_of(*arguments) + b'R'


def built(value: bytes, state: bytes) -> bytes:
    """Opcodes of ``value.__setstate__(state)``."""
    return value + state + b'b'


def storage(length: int = 4, kind: str = 'Float', key: str = '0') -> bytes:
    """Opcodes of a reference to a storage."""
    return tuple_of(plain('storage'), named(f'torch.{kind}Storage'), plain(key), plain('cpu'), plain(length)) + b'Q'


def tensor(size: Any = (4, ), stride: Any = (1, ), offset: Any = 0, source: bytes | None = None) -> bytes:
    """Opcodes of a tensor."""
    return called('torch._utils._rebuild_tensor_v2', source or storage(), plain(offset), plain(size), plain(stride),
                  plain(False), called('collections.OrderedDict'))


def write_checkpoint(path: Path, content: bytes, storages: Mapping[str, bytes] | None = None) -> Path:
    """Write a zip archive as ``torch.save`` does.

    Args:
        path: the file.
        content: opcodes of the value of ``state_dict``.
        storages: key → bytes. Default None: one of 16 bytes, ``'0'``.

    Returns:
        ``path``.
    """
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02' + dict_of({'state_dict': content}) + b'.')
        archive.writestr('archive/version', '3\n')
        archive.writestr('archive/byteorder', 'little')
        for key, value in ({'0': bytes(16)} if storages is None else storages).items():
            archive.writestr(f'archive/data/{key}', value)
    return path
