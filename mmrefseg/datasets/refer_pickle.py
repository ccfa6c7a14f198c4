"""Reading of ``refs(<splitBy>).p`` files, which nobody should have to trust."""
import io
import pickle
import struct
from pathlib import Path
from typing import Any, NoReturn

OFFICIAL_SOURCE = 'https://github.com/lichengunc/refer'

_DATA = b''.join((
    pickle.PROTO, pickle.FRAME, pickle.MARK, pickle.STOP,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
    pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG, pickle.LONG1, pickle.LONG4,
    pickle.FLOAT, pickle.BINFLOAT,
    pickle.STRING, pickle.SHORT_BINSTRING, pickle.BINSTRING,
    pickle.UNICODE, pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8,
    pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS,
    pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS,
    pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE,
    pickle.GET, pickle.BINGET, pickle.LONG_BINGET,
))
_GLOBALS = b''.join((pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.INST))

# What the pickle module raises for damaged bytes and for opcodes that are not in the table below.
_DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, AssertionError,
            OverflowError, struct.error)


class ForbiddenGlobalError(Exception):
    """A pickle names a function or class."""


class _DataUnpickler(pickle._Unpickler):
    """Builds lists, dictionaries, strings and numbers, and refuses to look up anything that could be called.

    Only Python's own implementation has a table of opcodes from which all others can be left out: the C one takes
    registered extensions from a cache without asking, and memory for as much as the file claims to hold. Tuples are
    left out, too: as keys they can be nested so that hashing them never ends.
    """

    dispatch = {code: pickle._Unpickler.dispatch[code] for code in _DATA + _GLOBALS}

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ForbiddenGlobalError(f'{module}.{name}')


def load_refer_pickle(path: str | Path) -> Any:
    """Read a refs pickle without ever running what it holds.

    Byte strings of Python 2 are read as UTF-8 or, if any of them is not UTF-8, all as Latin-1.

    Args:
        path (str | Path): The file, ``refs(unc).p`` for example.

    Returns:
        Any: What the file holds; made of lists, dictionaries, strings, numbers, booleans and None alone.

    Raises:
        ValueError: If the file tries to import or call anything, holds anything else, or is not a whole pickle.
    """
    content = Path(path).read_bytes()
    try:
        try:
            return _load(content, 'utf-8')
        except UnicodeDecodeError:
            return _load(content, 'latin-1')
    except ForbiddenGlobalError as error:
        raise ValueError(
            f'{path} was not loaded: it asks for {error}, but a refs pickle holds only lists, dictionaries, strings '
            'and numbers. The file may be malicious: do not open it with pickle. Get the official one by way of '
            f'{OFFICIAL_SOURCE}.') from None
    except _DAMAGED as error:
        raise ValueError(
            f'{path} is not a whole pickle of lists, dictionaries, strings and numbers ({type(error).__name__}: '
            f'{error}). It is perhaps cut off, or a web page saved under this name: get the official file by way of '
            f'{OFFICIAL_SOURCE}.') from error


def _load(content: bytes, encoding: str) -> Any:
    return _DataUnpickler(io.BytesIO(content), encoding=encoding).load()
