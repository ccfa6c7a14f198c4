"""The size of an image, before any memory is taken for it."""
from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from mmrefseg.errors import InputError

from .files import MAX_IMAGE_BYTES, open_regular

MAX_PIXELS = 89_478_485
"""Larger images are not decoded; Pillow calls them possible bombs, too. The largest of COCO have 410,000 pixels."""

# What OpenCV reads, too.
_FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', 'PPM')


def read_image_size(file: str | Path | BinaryIO) -> tuple[int, int]:
    """Height and width in pixels, as an image's header declares them.

    A file of some bytes can declare 100,000 × 100,000 pixels, for which a decoder would take 30 GB.

    Args:
        file: path of the image, or its open file.

    Raises:
        MissingInputError: there is no such file.
        FileError: it cannot be opened.
        InputError: it is no file, no JPEG, PNG, WebP, BMP, GIF, TIFF or PPM image, or declares more than
            ``MAX_PIXELS``.
    """
    if isinstance(file, str | Path):
        with open_regular(file, MAX_IMAGE_BYTES) as opened:
            return read_image_size(opened)
    try:
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError as error:
        raise _too_large(str(error)) from None
    except (OSError, ValueError, SyntaxError, MemoryError) as error:
        raise InputError('it is damaged, cut off or not an image (JPEG, PNG, WebP, BMP, GIF, TIFF and PPM are read). '
                         'Copy or download it again') from error
    if width * height > MAX_PIXELS:
        raise _too_large(f'{width} x {height} pixels')
    return height, width


def _too_large(size: str) -> InputError:
    return InputError(f'it declares a size that may exhaust the memory ({size}; at most {MAX_PIXELS} are read). Shrink '
                      'it if you trust it, else remove it')
