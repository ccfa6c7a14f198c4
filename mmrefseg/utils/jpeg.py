"""The structure of a JPEG file, read from its markers without decoding anything."""
from __future__ import annotations

import re
from typing import NamedTuple

JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'

_EXIF = b'Exif\0\0'
# 0xFF followed by 0x00 is a value of the compressed data, by another 0xFF filling; restarts belong to the data, too.
_MARKER = re.compile(rb'\xff([^\x00\xff])')
_MARKER_BUT_RESTARTS = re.compile(rb'\xff([^\x00\xff\xd0-\xd7])')
_SCAN, _RESTART_INTERVAL, _APP1 = 0xda, 0xdd, 0xe1
_FRAMES = {*range(0xc0, 0xd0)} - {0xc4, 0xc8, 0xcc}
_SEGMENTS = _FRAMES | {0xc4, 0xcc, _SCAN, 0xdb, 0xdc, _RESTART_INTERVAL, 0xfe, *range(0xe0, 0xf0)}


class JPEGStructure(NamedTuple):
    """What the markers of a JPEG file tell.

    Args:
        height: height of the stored picture in pixels; 0 if the file ends before it says so.
        width: width likewise.
        scans: passes over the picture; 1 of a baseline file mostly, about 10 of a progressive one.
        exif: the EXIF metadata; empty if there are none.
        end: offset of the end marker to which the markers lead; 0 if they don't, because the file is cut off.
    """

    height: int
    width: int
    scans: int
    exif: bytes
    end: int


def read_jpeg(content: bytes) -> JPEGStructure:
    """Go through the markers of a JPEG from its start to its own end marker.

    Thumbnails lie inside of segments, and what follows the end marker (a film, further pictures) is not looked at, so
    that neither can be taken for the picture. A file that is cut off has no end marker, or, with something behind the
    cut, mostly comes upon a marker there that no picture has at that place.

    Args:
        content: the file, which begins with ``JPEG_START``.
    """
    height = width = scans = 0
    exif, marker = b'', _MARKER
    offset = len(JPEG_START)
    while found := marker.search(content, offset):
        kind, offset = content[found.start() + 1], found.end()
        if kind == JPEG_END[1]:
            return JPEGStructure(height, width, scans, exif, found.start() if scans else 0)
        length = int.from_bytes(content[offset:offset + 2])
        segment = content[offset + 2:offset + length]
        if kind not in _SEGMENTS or length < 2 or len(segment) != length - 2:
            break
        if kind in _FRAMES:
            height, width = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
        elif kind == _SCAN:
            scans += 1
            if not segment or not 1 <= segment[0] <= 4 or len(segment) != 4 + 2 * segment[0]:
                break
        elif kind == _RESTART_INTERVAL:
            marker = _MARKER_BUT_RESTARTS if any(segment) else _MARKER
        elif kind == _APP1 and not exif and segment.startswith(_EXIF):
            exif = segment
        offset += length
    return JPEGStructure(height, width, scans, exif, 0)
