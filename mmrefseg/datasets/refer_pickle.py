"""Reading of ``refs(<splitBy>).p`` files, which nobody should have to trust."""
from __future__ import annotations

import gc
import io
import pickle
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from mmrefseg.errors import InputError
from mmrefseg.utils.files import read_regular

OFFICIAL_SOURCE = 'https://github.com/lichengunc/refer'

MAX_BYTES = 2**29
"""Larger files are refused unread; RefCOCO's have a twentieth of this."""

# Opcodes with all that belongs to them, but for those that tell the length of what follows. For the memo the unpickler
# takes memory up to the highest index: 160 MB at these bounds.
_FIXED = re.compile(rb'''(?:
    [(\]}ldaesuN\x88\x89\x94.]                  # marks, lists, dictionaries, None, truth values, the next memo index
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
  | [ci][^\n]*\n[^\n]*\n | \x93               # what could be called; refused by name in find_class
)*''' + (b'+' if sys.version_info >= (3, 11) else b''), re.VERBOSE)  # possessive: keeps no way back in memory
_LENGTHS = {code: struct.Struct(length) for code, length in (
    (pickle.SHORT_BINSTRING, '<B'), (pickle.BINSTRING, '<I'), (pickle.SHORT_BINUNICODE, '<B'),
    (pickle.BINUNICODE, '<I'), (pickle.BINUNICODE8, '<Q'), (pickle.LONG1, '<B'), (pickle.FRAME, '<Q'))}
_LONGEST_LONG = 8
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


class _DataUnpickler(pickle.Unpickler):
    """Refuses to look up anything that could be called."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise ForbiddenGlobalError(f'{module}.{name}')


def load_refer_pickle(path: str | Path) -> Any:
    """Read a refs pickle without ever running what it holds.

    Byte strings of Python 2 are read as UTF-8 or, if any of them is not UTF-8, all as Latin-1.

    Args:
        path: the file, ``refs(unc).p`` for example.

    Returns:
        What the file holds; made of lists, dictionaries, strings, numbers, booleans and None alone.

    Raises:
        MissingInputError: there is no such file.
        InputError: the file tries to import or call anything, holds anything else (as whole numbers of more than 64
            bits, tuples, and NumPy's numbers), is not a whole pickle, or is larger than ``MAX_BYTES``.
    """
    whole = read_regular(path, MAX_BYTES)
    content = whole[:_end_of_data(whole)]
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
            f'{OFFICIAL_SOURCE}.') from None
    except _DAMAGED as error:
        if reason := _NO_REFS.get(whole[len(content):len(content) + 1]):
            if b'numpy.' in content[-_NEAR:]:  # of whose numbers a tuple follows before anything is looked up
                raise _numpys(path) from None
            raise InputError(
                f'{path} is not a whole pickle of lists, dictionaries, strings and numbers: after {len(content)} bytes '
                f'it holds {reason}.') from None
        raise InputError(
            f'{path} is not a whole pickle of lists, dictionaries, strings and numbers: after {len(content)} bytes '
            f'({type(error).__name__}: {error}). It is perhaps cut off, or a web page saved under this name: get the '
            f'official file by way of {OFFICIAL_SOURCE}.') from error


def _numpys(path: str | Path) -> InputError:
    return InputError(f"{path} was not loaded: it holds numbers or arrays of NumPy, which are no plain data. Write it "
                      "again with Python's own: int(...) or float(...) of each number, .tolist() of each array.")


def _end_of_data(content: bytes) -> int:
    """How far a pickle has only opcodes that build plain data, each of them whole.

    The unpickler in C, fast as it is, can be trusted with these alone. It would take registered extensions from a cache
    without asking ``find_class``, and memory for as much as a file claims to hold; tuples can be nested as keys so
    that hashing them never ends; and whole numbers of more than 64 bits chosen so that all have the same hash: a
    dictionary of 33,000 such keys, 400 kB, would take 16 seconds.
    """
    offset = 0
    while True:
        offset = _FIXED.match(content, offset).end()
        opcode = content[offset:offset + 1]
        length = _LENGTHS.get(opcode)
        if length is None or offset + 1 + length.size > len(content):
            return offset
        start = offset + 1 + length.size
        size = length.unpack_from(content, offset + 1)[0]
        end = start + size
        if end > len(content) or (opcode == pickle.LONG1 and size > _LONGEST_LONG):
            return offset
        offset = start if opcode == pickle.FRAME else end  # a frame is full of opcodes


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
