"""Pickles as Python 2 wrote them, whose byte strings Python 3's own pickler cannot produce."""
import pickle
import struct
from collections.abc import Iterator

from mmrefseg.errors import InputTypeError


def _text(text: str) -> bytes:
    data = text.encode()
    return pickle.BINUNICODE + struct.pack('<I', len(data)) + data


def _key(text: str) -> bytes:
    data = text.encode('ascii')
    return pickle.SHORT_BINSTRING + struct.pack('<B', len(data)) + data


def _opcodes(value: list | dict | str | int) -> Iterator[bytes]:
    match value:
        case str():
            yield _text(value)
        case int():
            yield pickle.BININT + struct.pack('<i', value)
        case list():
            yield pickle.EMPTY_LIST + pickle.MARK
            for entry in value:
                yield from _opcodes(entry)
            yield pickle.APPENDS
        case dict():
            yield pickle.EMPTY_DICT + pickle.MARK
            for key, entry in value.items():
                yield _key(key)
                yield from _opcodes(entry)
            yield pickle.SETITEMS
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
    return pickle.PROTO + b'\x02' + b''.join(_opcodes(value)) + pickle.STOP
