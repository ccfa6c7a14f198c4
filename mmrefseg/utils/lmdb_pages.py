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
_HEADER = struct.Struct('<QHHHH')  # number, -, flags, where the places of nodes end, where nodes start
_OVERFLOW = struct.Struct('<QHHI')  # number, -, flags, pages
_META = struct.Struct('<II16xI44x4xHH32xQQQ')  # magic, version, page size; flags, depth, root; last page, transaction
_NODE = struct.Struct('<HHHH')  # three parts of a size or page number, length of the key
_BRANCH, _LEAF, _LARGE = 1, 2, 4
_BIG_DATA = 1
_NO_ROOT = 2**64 - 1
_PAGE_SIZES = [1 << power for power in range(9, 17)]
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


class _Node(NamedTuple):
    """A key with what belongs to it.

    Attributes:
        key (bytes): The key; of the first node of a branch it means nothing.
        number (int): Of a branch's node the page below; of a leaf's the value's bytes.
        flags (int): Whether the value is on pages of its own.
        rest (bytes): What follows the key on the page.
    """

    key: bytes
    number: int
    flags: int
    rest: memoryview


class LMDBPages:
    """The pages of an LMDB file, each of whose claims is checked when it is followed.

    Args:
        file (BinaryIO): The open file, which is kept. Reading moves nothing that forked processes share, and maps
            nothing that could be cut off.

    Raises:
        InputError: If it is no LMDB file, or cut off.
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
        self._depth, self._root, self._num_pages = meta.depth, meta.root, meta.last_page + 1
        needed = self._num_pages * self._page_size
        if size < needed:
            raise InputError(f'it is cut off: {size} bytes instead of {needed}')

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None if there is none. Raises InputError if a page on the way is damaged."""
        number = self._root
        if number == _NO_ROOT or not self._depth:
            return None
        for level in range(self._depth, 0, -1):
            page, places = self._page(number, _LEAF if level == 1 else _BRANCH)
            first = int(level > 1)  # the key of a branch's first node means nothing
            found = bisect_right(places, key, lo=first, key=lambda place, page=page: self._node(page, place).key) - 1
            if found < 0:
                return None
            node = self._node(page, places[found])
            number = node.number
        return self._value(node) if node.key == key else None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys and values, in order. Raises InputError where a page is damaged."""
        pages = [] if self._root == _NO_ROOT or not self._depth else [(self._root, self._depth)]
        room = self._num_pages * self._page_size  # for pages that are met twice would have no end
        while pages:
            number, level = pages.pop()
            page, places = self._page(number, _LEAF if level == 1 else _BRANCH)
            nodes = [self._node(page, place) for place in places]
            room -= self._page_size
            if level > 1:
                pages += [(node.number, level - 1) for node in reversed(nodes)]
                nodes = []
            for node in nodes:
                value = self._value(node)
                room -= len(value) if node.flags else 0
                yield node.key, value
            if room < 0:
                raise InputError('its pages are met more than once')

    def _meta(self, at: int) -> _Meta:
        content = os.pread(self._descriptor, _HEADER.size + _META.size, at)
        if len(content) < _HEADER.size + _META.size:
            raise InputError('it is cut off')
        meta = _Meta(*_META.unpack_from(content, _HEADER.size))
        if meta.magic != _MAGIC or meta.version != _VERSION or meta.page_size not in _PAGE_SIZES:
            raise InputError('it does not begin as LMDB files do')
        return meta

    def _page(self, number: int, kind: int) -> tuple[memoryview, list[int]]:
        """A page of nodes, and the places of the nodes on it."""
        page = memoryview(self._read(number, 0, self._page_size))
        own_number, _, flags, lower, _ = _HEADER.unpack_from(page)
        if own_number != number or not flags & kind or not _HEADER.size + 2 <= lower <= self._page_size:
            raise InputError(f'page {number} is damaged')
        return page, page[_HEADER.size:lower & ~1].cast('H').tolist()

    def _node(self, page: memoryview, place: int) -> _Node:
        end = place + _NODE.size
        if end > len(page):
            raise InputError('a place on a page is damaged')
        low, high, flags, key_size = _NODE.unpack_from(page, place)
        if end + key_size > len(page):
            raise InputError('a key is damaged')
        return _Node(bytes(page[end:end + key_size]), low | high << 16 | flags << 32, flags, page[end + key_size:])

    def _value(self, node: _Node) -> bytes:
        size = node.number & 0xFFFFFFFF
        if not node.flags & _BIG_DATA:
            if node.flags or size > len(node.rest):
                raise InputError('a value is damaged')
            return bytes(node.rest[:size])
        number = int.from_bytes(node.rest[:8], 'little')
        own_number, _, flags, pages = _OVERFLOW.unpack(self._read(number, 0, _OVERFLOW.size))
        if own_number != number or not flags & _LARGE or pages * self._page_size < _OVERFLOW.size + size:
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
