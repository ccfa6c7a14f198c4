"""What an image's header declares, before any memory is taken for its pixels."""
from __future__ import annotations

import re
import struct
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from mmrefseg.errors import InputError

from .exif_orientation import exchanges_sides, known_orientation, orientation_of
from .files import MAX_IMAGE_BYTES, open_regular

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
        length = int.from_bytes(content[offset:offset + 2], 'big')
        segment = content[offset + 2:offset + length]
        if kind not in _SEGMENTS or length < 2 or len(segment) != length - 2:
            break
        if kind in _FRAMES:
            height, width = int.from_bytes(segment[1:3], 'big'), int.from_bytes(segment[3:5], 'big')
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


MAX_PIXELS = 89_478_485
"""Larger images are not decoded; Pillow calls them possible bombs, too. The largest of COCO have 410,000 pixels."""

PILLOW_ERRORS = (OSError, ValueError, SyntaxError, MemoryError, EOFError, LookupError, TypeError, AttributeError,
                 ArithmeticError, AssertionError, RuntimeError, struct.error)
"""What Pillow's parsers raise for damaged files."""

# What OpenCV reads, too.
_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM')
_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
_WIDTH, _HEIGHT, _ORIENTATION = 256, 257, 274  # tags of TIFF


class ImageHeader(NamedTuple):
    """What an image's header declares.

    Args:
        format: ``'JPEG'``, ``'PNG'``, ``'WEBP'``, ``'BMP'``, ``'GIF'``, ``'TIFF'`` or ``'PPM'``.
        mode: Pillow's name for the kind of pixels, such as ``'RGB'``, ``'P'`` or ``'I;16'``.
        height: height of the stored picture in pixels.
        width: width of the stored picture in pixels.
        orientation: EXIF's, 1 (upright) to 8.
        is_lossy: whether pixels may have other values than were stored: JPEG, also in TIFF, and most WebP.
    """

    format: str
    mode: str
    height: int
    width: int
    orientation: int
    is_lossy: bool

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the upright picture in pixels."""
        return (self.width, self.height) if exchanges_sides(self.orientation) else (self.height, self.width)


def read_image_size(file: str | Path | BinaryIO, ignore_orientation: bool = False) -> tuple[int, int]:
    """Height and width in pixels, as an image's header declares them.

    A file of some bytes can declare 100,000 × 100,000 pixels, for which a decoder would take 30 GB.

    Args:
        file: path of the image, or its open file.
        ignore_orientation: whether the stored picture is meant, whatever its EXIF orientation. Default False, the
            upright one.

    Raises:
        MissingInputError: there is no such file.
        FileError: it cannot be opened.
        InputError: it is no file, no JPEG, PNG, WebP, BMP, GIF, TIFF or PPM image, holds several pictures, or declares
            more than ``MAX_PIXELS``.
    """
    if isinstance(file, str | Path):
        with open_regular(file, MAX_IMAGE_BYTES) as opened:
            header = read_image_header(opened)
    else:
        header = read_image_header(file)
    return (header.height, header.width) if ignore_orientation else header.upright_size


def read_image_header(file: BinaryIO) -> ImageHeader:
    """Read the header of an image, and refuse what no single picture of a sensible size follows.

    Args:
        file: the open file, at its start.

    Raises:
        InputError: as :func:`read_image_size`.
    """
    try:
        with Image.open(file, formats=_FORMATS) as image:
            kind, several = image.format, image.format != 'MPO' and getattr(image, 'is_animated', False)
            mode, (width, height), exif = image.mode, image.size, image.info.get('exif', b'')
            compression, tags = image.info.get('compression'), dict(getattr(image, 'tag_v2', {}))
    except Image.DecompressionBombError as error:
        raise _too_large(str(error)) from None
    except PILLOW_ERRORS as error:
        raise _unreadable(file) from error
    orientation = orientation_of(exif or (_png_exif(file) if kind == 'PNG' else b''))
    is_lossy = kind in ('JPEG', 'MPO') or compression in ('jpeg', 'tiff_jpeg', 'webp')
    if kind == 'TIFF':  # whose size Pillow gives upright
        height, width, orientation = tags[_HEIGHT], tags[_WIDTH], known_orientation(tags.get(_ORIENTATION))
    elif kind == 'WEBP':
        is_lossy = _has_lossy_chunk(file)
    check_pixels(height, width)
    if several:
        raise InputError(f'it holds several pictures ({kind}), and which one is meant cannot be told. Save that one in '
                         'a file of its own')
    return ImageHeader('JPEG' if kind == 'MPO' else kind, mode, height, width, orientation, is_lossy)


def check_pixels(height: int, width: int) -> None:
    """Refuse a size that no image has.

    Args:
        height: height of the image in pixels.
        width: width of the image in pixels.

    Raises:
        InputError: it is empty, or has more than ``MAX_PIXELS``.
    """
    if height * width > MAX_PIXELS:
        raise _too_large(f'{width} x {height} pixels')
    if min(height, width) < 1:
        raise InputError(f'it declares a size of {width} x {height} pixels: it is damaged. Copy or download it again')


def _png_exif(file: BinaryIO) -> bytes:
    """The chunk of EXIF metadata, which may stand behind the pixels, where Pillow would have to decode them first."""
    offset = 8
    while True:
        file.seek(offset)
        head = file.read(8)
        length = int.from_bytes(head[:4], 'big')
        if len(head) < 8 or head[4:] == b'IEND':
            return b''
        if head[4:] == b'eXIf':
            return file.read(min(length, 1 << 16))
        offset += 12 + length


def _has_lossy_chunk(file: BinaryIO) -> bool:
    offset = 12
    while True:
        file.seek(offset)
        head = file.read(8)
        if len(head) < 8 or head[:4] in (b'VP8 ', b'VP8L'):
            return head[:4] != b'VP8L'
        offset += 8 + (int.from_bytes(head[4:], 'little') + 1) // 2 * 2


def _unreadable(file: BinaryIO) -> InputError:
    file.seek(0)
    start = file.read(12)
    if start[4:8] == b'ftyp':
        return InputError('it is HEIC, AVIF or a film, as phones write them, and these are not read. Convert it to '
                          "JPEG or PNG, for example by 'magick FILE FILE.jpg', or let the phone do it when it exports")
    if start.startswith(_TIFF_STARTS):
        return InputError('it is a damaged TIFF, or one of a kind that is not read (TIFF may hold grey, RGB or '
                          'indexed pixels of up to 16 bits). Copy it again, or save it as an 8-bit PNG')
    return InputError('it is damaged, cut off or not an image (JPEG, PNG, WebP, BMP, GIF, TIFF and PPM are read). '
                      'Copy or download it again')


def _too_large(size: str) -> InputError:
    return InputError(f'it declares a size that may exhaust the memory ({size}; at most {MAX_PIXELS} are read). Shrink '
                      'it if you trust it, else remove it')


def header_of(content: bytes) -> ImageHeader:
    """The header of an image of which the whole file is at hand; see :func:`read_image_header`.

    The parts of a PNG are looked at, too: for one that claims 4 GB, OpenCV would make room.

    Args:
        content: the whole file.

    Raises:
        InputError: as :func:`read_image_header`, or a part of a PNG is longer than the file.
    """
    file = BytesIO(content)
    header = read_image_header(file)
    offset, kind = 8, b''
    while header.format == 'PNG' and kind != b'IEND' and offset + 8 <= len(content):
        kind = content[offset + 4:offset + 8]
        offset += 12 + int.from_bytes(content[offset:offset + 4], 'big')
        if offset > len(content):
            raise _unreadable(file)
    return header
