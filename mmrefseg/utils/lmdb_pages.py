"""Reading of LMDB files that may be damaged: LMDB itself follows their pages wherever these lead, out of the file too.

The layout is that of LMDB 0.9 on little-endian machines of 64 bits (https://www.symas.com/lmdb; ``mdb.c``).
"""
from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from mmrefseg.errors import InputError

_MAGIC, _VERSION = 0xBEEFC0DE, 1
_HEADER = struct.Struct('<QHHHH')  # number, -, flags, where the offsets of nodes end, where nodes start
_OVERFLOW = struct.Struct('<QHHI')  # number, -, flags, pages
_META = struct.Struct('<II16xI44x4xHH32xQQQ')  # magic, version, page size; flags, depth, root; last page, transaction
_NODE = struct.Struct('<HHHH')  # three parts of a size or page number, length of the key
_BRANCH, _LEAF, _LARGE = 1, 2, 4
_BIG_DATA = 1
_NO_ROOT = 2**64 - 1
_PAGE_SIZES = [1 << power for power in range(9, 17)]
_KEPT = 256  # branch pages
_DEEPEST = 32  # levels of pages that LMDB itself follows


class _Meta(NamedTuple):
    """One of the two descriptions of the file, of which the later one holds."""

    magic: int
    version: int
    page_size: int
    flags: int
    depth: int
    root: int
    last_page: int
    transaction: int


class LMDBPages:
    """The pages of an LMDB file, each of whose claims is checked when it is followed.

    Args:
        file: the open file, which is kept. Reading moves nothing that forked processes share, and maps nothing that
            could be cut off.

    Raises:
        InputError: it is no LMDB file, or cut off.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._descriptor = file.fileno()
        size = os.fstat(self._descriptor).st_size
        first = self._meta(0)
        self._page_size = first.page_size
        meta = max(first, self._meta(first.page_size), key=lambda meta: meta.transaction)
        if meta.flags or meta.depth > _DEEPEST:
            raise InputError('it describes itself in a way that makes no sense')
        self._branches: dict[int, tuple[list[bytes], list[int]]] = {}
        self._depth, self._root, self._num_pages = meta.depth, meta.root, meta.last_page + 1
        needed = self._num_pages * self._page_size
        if size < needed:
            raise InputError(f'it is cut off: {size} bytes instead of {needed}')

    def get(self, key: bytes, limit: int) -> bytes | None:
        """The value of a key; None if there is none. Raises InputError if a page on the way is damaged.

        Args:
            key: the key.
            limit: bytes that the value may have: of a file with holes, gigabytes would take no room on the disk.
        """
        number = self._root
        if number == _NO_ROOT or not self._depth:
            return None
        for _ in range(self._depth - 1):
            keys, numbers = self._branch(number)
            number = numbers[bisect_right(keys, key, lo=1) - 1]  # the first key means nothing
        page, offsets = self._page(number, _LEAF)
        found = bisect_right(offsets, key, key=lambda offset: _key(page, offset)) - 1
        if found < 0 or _key(page, offsets[found]) != key:
            return None
        return self._value(page, offsets[found], limit)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, in order. Raises InputError where a page is damaged."""
        pages = [] if self._root == _NO_ROOT or not self._depth else [(self._root, self._depth)]
        room = self._num_pages * self._page_size  # for pages that are met twice would have no end
        while pages:
            number, level = pages.pop()
            room -= self._page_size
            if level > 1:
                pages += [(below, level - 1) for below in reversed(self._branch(number)[1])]
                continue
            page, offsets = self._page(number, _LEAF)
            within = self._page_size  # for nodes that lie upon each other would be more than their page
            for offset in offsets:
                key, value = _key(page, offset), self._value(page, offset, max(room, self._page_size))
                if _NODE.unpack_from(page, offset)[2]:  # on pages of its own
                    room -= max(len(value), self._page_size)
                else:
                    within -= len(key) + len(value)
                if min(room, within) < 0:
                    raise InputError('its pages are met more than once, or nodes on them')
                yield key, value

    def _meta(self, at: int) -> _Meta:
        content = os.pread(self._descriptor, _HEADER.size + _META.size, at)
        if len(content) < _HEADER.size + _META.size:
            raise InputError('it is cut off')
        meta = _Meta(*_META.unpack_from(content, _HEADER.size))
        if meta.magic != _MAGIC or meta.version != _VERSION or meta.page_size not in _PAGE_SIZES:
            raise InputError('it does not begin as LMDB files do')
        return meta

    def _branch(self, number: int) -> tuple[list[bytes], list[int]]:
        """The keys on a branch page, and the pages below."""
        if number not in self._branches:
            page, offsets = self._page(number, _BRANCH)
            keys = [_key(page, offset) for offset in offsets]
            parts = [_NODE.unpack_from(page, offset) for offset in offsets]
            if len(self._branches) == _KEPT:
                self._branches.clear()
            self._branches[number] = keys, [low | high << 16 | top << 32 for low, high, top, _ in parts]
        return self._branches[number]

    def _page(self, number: int, kind: int) -> tuple[bytes, tuple[int, ...]]:
        """A page of nodes, and the offsets of the nodes on it."""
        page = self._read(number, 0, self._page_size)
        own_number, _, flags, lower, _ = _HEADER.unpack_from(page)
        count = (lower - _HEADER.size) // 2
        if own_number != number or not flags & kind or not 0 < count <= (self._page_size - _HEADER.size) // 2:
            raise InputError(f'page {number} is damaged')
        return page, struct.unpack_from(f'<{count}H', page, _HEADER.size)

    def _value(self, page: bytes, offset: int, limit: int) -> bytes:
        low, high, flags, key_size = _NODE.unpack_from(page, offset)
        size, start = low | high << 16, offset + _NODE.size + key_size
        if size > limit:
            raise InputError(f'a value has {size} bytes, more than there can be')
        if not flags:
            return _piece(page, start, size)
        number = int.from_bytes(_piece(page, start, 8), 'little')
        own_number, _, page_flags, pages = _OVERFLOW.unpack(self._read(number, 0, _OVERFLOW.size))
        if (flags != _BIG_DATA or own_number != number or not page_flags & _LARGE
                or pages * self._page_size < _OVERFLOW.size + size):
            raise InputError(f'page {number} is damaged')
        return self._read(number, _OVERFLOW.size, size)

    def _read(self, number: int, offset: int, size: int) -> bytes:
        at = number * self._page_size + offset
        if at + size > self._num_pages * self._page_size:
            raise InputError(f'page {number} is outside of the file')
        content = os.pread(self._descriptor, size, at)
        if len(content) < size:
            raise InputError(f'page {number} is cut off')
        return content


def _key(page: bytes, offset: int) -> bytes:
    """The key of the node at an offset on a page."""
    start = offset + _NODE.size
    return _piece(page, start, int.from_bytes(_piece(page, start - 2, 2), 'little'))


def _piece(page: bytes, start: int, size: int) -> bytes:
    piece = page[start:start + size]
    if len(piece) < size:
        raise InputError('a node leads out of its page')
    return piece
