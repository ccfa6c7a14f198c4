"""Reading of ``refs(<splitBy>).p`` files, which nobody should have to trust."""
from __future__ import annotations

import gc
import io
import pickle
import re
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from mmrefseg.errors import InputError
from mmrefseg.utils.files import read_regular

REFER_SOURCE = 'https://github.com/lichengunc/refer'

MAX_PICKLE_BYTES = 2**29
"""Larger files are refused unread; RefCOCO's have a twentieth of this."""

# Lengths of short strings, with the strings: a pattern passes over them many times faster than a loop in Python.
_SHORT, _SHORT_OF_4_BYTES = (b'|'.join(rb'\x%02x%b[\0-\xff]{%d}' % (length, rest, length) for length in range(64))
                             for rest in (b'', rb'\0\0\0'))
# Opcodes with all that belongs to them, but for those that tell the length of what follows. For the memo the unpickler
# takes memory up to the highest index: 160 MB at these bounds.
_FIXED = re.compile(rb'''(?:
    \((?!d) | [\]laesuN\x88\x89\x94.]           # marks, lists, items, None, truth values, the next memo index
  | [Khq][\0-\xff]                              # number, memo indices: 1 byte
  | M[\0-\xff]{2}
  | [Jj][\0-\xff]{4}
  | G[\0-\xff]{8}                              # real number
  | \x80[\0-\x05]                               # protocol
  | r[\0-\xff]{2}[\0-\x7f]\0                    # put into the memo: 4 bytes
  | [pg][0-9]{1,7}\n
  | [IL]-?[0-9]{1,19}L?\n                       # of 64 bits, as those below
  | F[^\n]{1,40}\n
  | [SV][^\n]*\n
  | [U\x8c](?:''' + _SHORT + rb''') | X(?:''' + _SHORT_OF_4_BYTES + rb''')
  | [ci][^\n]*\n[^\n]*\n | \x93               # what could be called; refused by name in find_class
)*''' + (b'+' if sys.version_info >= (3, 11) else b''), re.VERBOSE)  # possessive: keeps no way back in memory
_LENGTHS = {code: struct.Struct(length) for code, length in (
    (pickle.SHORT_BINSTRING, '<B'), (pickle.BINSTRING, '<I'), (pickle.SHORT_BINUNICODE, '<B'),
    (pickle.BINUNICODE, '<I'), (pickle.BINUNICODE8, '<Q'), (pickle.LONG1, '<B'), (pickle.FRAME, '<Q'))}
_LONGEST_LONG = 8
_EMPTY_DICTS = (pickle.EMPTY_DICT, pickle.MARK + pickle.DICT)
_EMPTY_RECORD = pickle.NONE + pickle.BINPERSID
_NEAR = 100  # bytes

# What stands where reading stops, if somebody wrote it on purpose.
_NO_REFS = {
    **dict.fromkeys((pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), 'a tuple: write '
                    'it as a list, list(...)'),
    **dict.fromkeys((pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8), "bytes: write them as text, "
                    ".decode('utf-8')"),
    **dict.fromkeys((pickle.LONG1, pickle.LONG4, pickle.INT, pickle.LONG), 'a whole number of more than 64 bits'),
    pickle.EMPTY_SET: 'a set: write it as a list, sorted(...)',
}

# What the unpickler raises for damaged bytes.
_DAMAGED = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, LookupError, OverflowError)


class ForbiddenGlobalError(Exception):
    """A pickle names a function or class."""


class _WrongKeyError(Exception):
    """A dictionary has a key of another type than text, or the same one twice."""


class _Record(dict):
    """Takes keys of text alone: of text nobody can choose a thousand that share their places in a dictionary."""

    __slots__ = ()

    def __setitem__(self, key: Any, value: Any, _set: Callable = dict.__setitem__) -> None:
        if type(key) is not str or key in self:
            raise _WrongKeyError(f'{key[:80]!r} twice' if type(key) is str else f'of type {type(key).__name__}')
        _set(self, key, value)


_Record.__name__ = 'dict'  # what the file has, in messages


class _DataUnpickler(pickle.Unpickler):
    """Refuses to look up anything that could be called."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ForbiddenGlobalError(f'{module}.{name}')

    def persistent_load(self, _: None) -> _Record:
        return _Record()


def load_refer_pickle(path: str | Path) -> Any:
    """Read a refs pickle without ever running what it holds.

    Byte strings of Python 2 are read as UTF-8 or, if any of them is not UTF-8, all as Latin-1.

    Args:
        path: the file, ``refs(unc).p`` for example.

    Returns:
        What the file holds; made of lists, dictionaries whose keys are strings, strings, numbers, booleans and None
        alone.

    Raises:
        MissingInputError: there is no such file.
        InputError: the file tries to import or call anything, holds anything else (as whole numbers of more than 64
            bits, tuples, and NumPy's numbers), has a dictionary with another key than a string or with the same
            twice, is not a whole pickle, or is larger than ``MAX_PICKLE_BYTES``.
    """
    whole = read_regular(path, MAX_PICKLE_BYTES)
    content, end = _plain_data(whole)
    try:
        try:
            return _load(content, 'utf-8')
        except UnicodeDecodeError:
            return _load(content, 'latin-1')
    except ForbiddenGlobalError as error:
        if str(error).startswith('numpy.'):
            raise _numpys(path) from None
        raise InputError(
            f'{path} was not loaded: it asks for {error}, but a refs pickle holds only lists, dictionaries, strings '
            'and numbers. The file may be malicious: do not open it with pickle. Get the official one by way of '
            f'{REFER_SOURCE}.') from None
    except _WrongKeyError as error:
        raise InputError(f'{path} was not loaded: a dictionary in it has a key {error}, but keys must be strings, each '
                         'once. Write it again.') from None
    except _DAMAGED as error:
        if reason := _NO_REFS.get(whole[end:end + 1]):
            if b'numpy.' in content[-_NEAR:]:  # of whose numbers a tuple follows before anything is looked up
                raise _numpys(path) from None
            raise InputError(
                f'{path} is not a whole pickle of lists, dictionaries, strings and numbers: after {end} bytes '
                f'it holds {reason}.') from None
        raise InputError(
            f'{path} is not a whole pickle of lists, dictionaries, strings and numbers: after {end} bytes '
            f'({type(error).__name__}: {error}). It is perhaps cut off, or a web page saved under this name: get the '
            f'official file by way of {REFER_SOURCE}.') from error


def _numpys(path: str | Path) -> InputError:
    return InputError(f"{path} was not loaded: it holds numbers or arrays of NumPy, which are no plain data. Write it "
                      "again with Python's own: int(...) or float(...) of each number, .tolist() of each array.")


def _plain_data(content: bytes) -> tuple[bytes, int]:
    """The opcodes of a pickle that build plain data, each of them whole, and how far in the file they go.

    The unpickler in C, fast as it is, can be trusted with these alone. It would take registered extensions from a cache
    without asking ``find_class``, and memory for as much as a file claims to hold; and tuples can be nested as keys so
    that hashing them never ends.

    It also fills dictionaries without asking anybody. Whole numbers can be chosen as keys so that all meet in the same
    places: with 33,000 of them, 400 kB, that would take 16 seconds. So each dictionary becomes a :class:`_Record`.
    """
    parts: list[bytes] = []
    offset = begin = 0
    while True:
        offset = _FIXED.match(content, offset).end()
        opcode = content[offset:offset + 1]
        length = _LENGTHS.get(opcode)
        if length is None and content.startswith(_EMPTY_DICTS, offset):
            parts += content[begin:offset], _EMPTY_RECORD
            offset = begin = offset + (1 if opcode == pickle.EMPTY_DICT else 2)
            continue
        if length is None or offset + 1 + length.size > len(content):
            break
        start = offset + 1 + length.size
        size = length.unpack_from(content, offset + 1)[0]
        end = start + size
        if end > len(content) or (opcode == pickle.LONG1 and size > _LONGEST_LONG):
            break
        if opcode == pickle.FRAME:  # full of opcodes; its length may be another now, and nobody needs it
            parts.append(content[begin:offset])
            end = begin = start
        offset = end
    return b''.join((*parts, content[begin:offset])), offset


def _load(content: bytes, encoding: str) -> Any:
    with _no_garbage_collection():
        # Of a bare BytesIO the unpickler would ask for each byte.
        return _DataUnpickler(io.BufferedReader(io.BytesIO(content)), encoding=encoding).load()


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """For a million new objects, none of which is garbage: looking for it takes four times as long as making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
