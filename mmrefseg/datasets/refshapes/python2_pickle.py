"""Pickles as Python 2 wrote them, whose byte strings Python 3's own pickler cannot produce."""
import pickle
import struct
from functools import cache, lru_cache

from mmrefseg.errors import InputTypeError


@lru_cache(4096)  # words recur
def _text(text: str) -> bytes:
    data = text.encode()
    return pickle.BINUNICODE + struct.pack('<I', len(data)) + data


@cache
def _key(text: str) -> bytes:
    data = text.encode('ascii')
    return pickle.SHORT_BINSTRING + struct.pack('<B', len(data)) + data


def _add(value: list | dict | str | int, parts: list[bytes]) -> None:
    match value:
        case str():
            parts.append(_text(value))
        case int():
            parts.append(pickle.BININT + struct.pack('<i', value))
        case list():
            parts.append(pickle.EMPTY_LIST + pickle.MARK)
            for entry in value:
                _add(entry, parts)
            parts.append(pickle.APPENDS)
        case dict():
            parts.append(pickle.EMPTY_DICT + pickle.MARK)
            for key, entry in value.items():
                parts.append(_key(key))
                _add(entry, parts)
            parts.append(pickle.SETITEMS)
        case _:
            raise InputTypeError(f'expected list, dict, str or int, got {type(value).__name__}')


def dumps(value: list | dict | str | int) -> bytes:
    """Pickle plain data with protocol 2.

    Args:
        value: nested lists and dicts; integers of 32 bits; keys are ASCII of at most 255 characters and become Python
            2's ``str``, other strings its ``unicode``.

    Returns:
        The pickle.

    Raises:
        InputTypeError: anything of another type is inside.
    """
    parts = [pickle.PROTO + b'\x02']
    _add(value, parts)
    return b''.join((*parts, pickle.STOP))
